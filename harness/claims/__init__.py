"""Claims that people made, as data, and what can be shown of them.

A study is a folder, such as ``conf/study/deepseek_2025``: ``study`` is what it says of itself,
``article`` one article of it, ``claim`` one claim, ``replication_rules`` a table of published
scores, and ``ledger`` reads them all and checks them against each other.

What can be shown: ``runs`` says which runs there are and whether one fits, ``published``,
``ablation`` and ``proxies`` what they say, ``documents`` what arithmetic and sources say,
``market`` of moves of prices, ``verdict`` how these make one verdict, and ``judge`` gives it for
every claim.
"""
