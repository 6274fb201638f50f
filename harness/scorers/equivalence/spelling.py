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
        "×": " \\cdot ", "·": " \\cdot ", "⋅": " \\cdot ", "∙": " \\cdot ", "∗": " \\cdot ",
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("−–—‐‑‒―﹣", "-"), "±": " \\pm ", "∓": " \\mp ",
        "≤": " \\leq ", "⩽": " \\leq ", "≥": " \\geq ", "⩾": " \\geq ", "≠": " \\neq ",
        "≈": " \\approx ", "∈": " \\in ", "∪": " \\cup ", "∩": " \\cap ", "∖": " \\setminus ",
        "∅": " \\emptyset ", "ℝ": " \\mathbb{R} ", "ℤ": " \\mathbb{Z} ", "ℚ": " \\mathbb{Q} ",
        "ℕ": " \\mathbb{N} ", "∨": " \\lor ", "∧": " \\land ", "⟨": " \\langle ",
        "⟩": " \\rangle ", "〈": " \\langle ", "〉": " \\rangle ", "⌊": " \\lfloor ",
        "⌋": " \\rfloor ", "⌈": " \\lceil ", "⌉": " \\rceil ", "∠": " \\angle ", "º": "°",
        "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "：": ":", "，": ", ", "（": "(",
        "）": ")", "％": "%", "￥": "¥", "｛": "\\{", "｝": "\\}", "。": ". ", "、": ", ",
        "∶": ":", "∛": " \\sqrt[3]", "∜": " \\sqrt[4]", "℃": "°C", "℉": "°F", "⋯": " \\ldots ",
        **dict.fromkeys("✓✔✅∎"), "…": " \\ldots ", "∣": "|", "│": "|", "∘": "°",
        "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}",
        "¾": "\\frac{3}{4}", "⅕": "\\frac{1}{5}", "⅛": "\\frac{1}{8}", "⅜": "\\frac{3}{8}",
        "⅝": "\\frac{5}{8}", "⅞": "\\frac{7}{8}", "⅙": "\\frac{1}{6}", "⅚": "\\frac{5}{6}",
        "⅖": "\\frac{2}{5}", "⅗": "\\frac{3}{5}", "⅘": "\\frac{4}{5}",
    }
)  # fmt: skip
KEPT_WIDE = "｛｝，"
"""Wide characters that mean more than their narrow ones."""
CHINESE = {
    "或者": " \\lor ", "或": " \\lor ", **dict.fromkeys("和与及且", " \\land "),
    "答案是": "\\text{answer is}", "答案为": "\\text{answer is}", "答案": "\\text{answer}",
    "约等于": "\\approx ", "不等于": "\\neq ", "大于等于": "\\geq ", "小于等于": "\\leq ",
    "等于": "=", "大于": ">", "小于": "<", "为": "=", "共": "\\text{total}", "负": "-",
    "选项": "\\text{option }", "选": "\\text{option }",
    "大约": "\\approx ", "约": "\\approx ",
    "空集": " \\emptyset ", "无解": " \\emptyset ", "不存在": "\\text{does not exist}",
    **{name: rf"\text{{ {unit} }}" for names, unit in (
        ("平方", "square"), ("立方", "cubic"), ("千米 公里", "km"), ("厘米", "cm"), ("毫米", "mm"),
        ("米", "meter"), ("千克 公斤", "kg"), ("克", "gram"), ("吨", "ton"), ("毫升", "ml"),
        ("升", "liter"), ("美元", "dollar"), ("元 块", "yuan"), ("分钟", "minute"),
        ("小时", "hour"), ("秒", "second"), ("天", "day"), ("年 岁", "year"),
        ("摄氏度", "celsius"), ("度", "degree"),
        ("个 人 名 只 种 次 本 条 张 件 位 支 棵 辆 颗 朵 头 组 份 项 单位", "unit"),
        ("万", "万"), ("萬", "萬"), ("亿", "亿"), ("億", "億"), ("千", "千"), ("百", "百"),
    ) for name in names.split()},
}  # fmt: skip
"""The meanings of Chinese words; longer words come before those that they begin with."""
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
    "underline ensuremath checkmark qed blacksquare square tiny small LARGE huge Huge "
    "boldmath textstyle scriptstyle limits nolimits quad qquad thinspace medspace thickspace "
    "enspace enskip space mathstrut strut hfill boxed fbox normalsize large Large middle"
)
DROPPED_WITH_GROUP = words(
    "phantom hphantom vphantom color textcolor colorbox hspace hspace* vspace tag tag* label"
)
RENAMED = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "nicefrac": "frac", "sfrac": "frac",
    "dbinom": "binom", "tbinom": "binom",
    "le": "leq", "leqslant": "leq", "ge": "geq", "geqslant": "geq", "ne": "neq",
    "times": "cdot", "ast": "cdot", "bullet": "cdot", "varnothing": "emptyset",
    "lbrace": "{", "rbrace": "}", "dots": "ldots", "cdots": "ldots", "dotsc": "ldots",
    "backslash": "setminus", "smallsetminus": "setminus", "infin": "infty", "bar": "overline",
    "tg": "tan", "ctg": "cot", "arctg": "arctan", "varphi": "phi", "varepsilon": "epsilon",
    "vartheta": "theta", "thickapprox": "approx", "lg": "log", "wedge": "land",
    "vee": "lor", "dollar": "$", "imath": "i", "jmath": "j",
}  # fmt: skip
WORD_SIGNS = {"lor": "or", "land": "and", "angle": "angle", "triangle": "triangle"}
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
UPRIGHT_FUNCTIONS = words("sin cos cis ln arcsin arccos arctan pi")
SEVERAL = words("gcd lcm max min")
"""Functions of many operands."""
ORDINALS = frozenset({"st", "nd", "rd", "th"})
