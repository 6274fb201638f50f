# ruff: noqa: RUF001 - characters that look alike are what these tables are about
"""Tables of the spellings that one symbol has in LaTeX, in Unicode and in plain text."""


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


UNICODE = str.maketrans(
    {
        **dict(zip("αβγδεζηθκλμνξρστυφχψω", (
            f" \\{name} " for name in (
                "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa",
                "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi",
                "omega")
        ), strict=True)),
        "π": " \\pi ", "Δ": " \\Delta ", "Ω": " \\Omega ", "√": " \\sqrt ", "∞": " \\infty ",
        "×": " \\cdot ", "·": " \\cdot ", "⋅": " \\cdot ", "∙": " \\cdot ", "÷": "/", "∕": "/",
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "±": " \\pm ", "∓": " \\mp ",
        "≤": " \\leq ", "⩽": " \\leq ", "≥": " \\geq ", "⩾": " \\geq ", "≠": " \\neq ",
        "≈": " \\approx ", "∈": " \\in ", "∪": " \\cup ", "∩": " \\cap ", "∖": " \\setminus ",
        "∅": " \\emptyset ", "ℝ": " \\mathbb{R} ", "ℤ": " \\mathbb{Z} ", "ℚ": " \\mathbb{Q} ",
        "ℕ": " \\mathbb{N} ", "∨": " \\lor ", "∧": " \\land ", "⟨": " \\langle ",
        "⟩": " \\rangle ", "〈": " \\langle ", "〉": " \\rangle ", "⌊": " \\lfloor ",
        "⌋": " \\rfloor ", "⌈": " \\lceil ", "⌉": " \\rceil ", "∠": " \\angle ", "º": "°",
        "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "：": ":", "，": ", ", "（": "(",
        "）": ")", "％": "%", "￥": "¥", "…": " \\ldots ", "∣": "|", "│": "|", "∘": "°",
        "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}",
        "¾": "\\frac{3}{4}", "⅕": "\\frac{1}{5}", "⅛": "\\frac{1}{8}", "⅜": "\\frac{3}{8}",
        "⅝": "\\frac{5}{8}", "⅞": "\\frac{7}{8}", "⅙": "\\frac{1}{6}", "⅚": "\\frac{5}{6}",
        "⅖": "\\frac{2}{5}", "⅗": "\\frac{3}{5}", "⅘": "\\frac{4}{5}",
    }
)  # fmt: skip
RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))


TEXT = words(
    "text textbf textit textrm textsf texttt textnormal mbox hbox emph mathrm mathit mathbf "
    "mathsf mathtt mathnormal operatorname operatorname* rm bf it boldsymbol bm textup textsc "
    "mathop"
)
MATH_FONTS = words("mathrm mathit mathbf mathsf mathtt mathnormal boldsymbol bm rm bf it")
BOLD = words("mathbf boldsymbol bm bf")
DROPPED = words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle "
    "textstyle scriptstyle limits nolimits quad qquad thinspace medspace thickspace enspace "
    "enskip space mathstrut strut hfill boxed fbox normalsize large Large middle"
)
DROPPED_WITH_GROUP = words("color textcolor hspace hspace* vspace")
RENAMED = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom",
    "le": "leq", "leqslant": "leq", "ge": "geq", "geqslant": "geq", "ne": "neq",
    "times": "cdot", "ast": "cdot", "bullet": "cdot", "varnothing": "emptyset",
    "lbrace": "{", "rbrace": "}", "dots": "ldots", "cdots": "ldots", "dotsc": "ldots",
    "backslash": "setminus", "smallsetminus": "setminus", "infin": "infty", "bar": "overline",
    "tg": "tan", "ctg": "cot", "arctg": "arctan", "varphi": "phi", "varepsilon": "epsilon",
    "vartheta": "theta", "thickapprox": "approx", "lg": "log", "land": "land", "wedge": "land",
    "vee": "lor", "dollar": "$", "imath": "i", "jmath": "j",
}  # fmt: skip
SYMBOLS = {
    "lvert": "|", "rvert": "|", "vert": "|", "mid": "|", "lbrack": "[", "rbrack": "]", "lt": "<",
    "gt": ">", "div": "/", "circ": "°", "degree": "°", "textdegree": "°", "prime": "'",
    "colon": ":", "%": "%", "lparen": "(", "rparen": ")", "&": "&",
}  # fmt: skip
SETS = frozenset("RZQNC")
# Names that a plain spelling ("3pi", "sqrt(2)", "sin x") shares with a command.
PLAIN_NAMES = words(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp sqrt pi theta alpha "
    "beta infty cup cap binom"
)
# Written as text now and then; "sec" is not among them, it is a unit.
UPRIGHT_FUNCTIONS = frozenset({"sin", "cos", "cis", "ln", "arcsin", "arccos", "arctan"})
ORDINALS = frozenset({"st", "nd", "rd", "th"})
