"""Claims: what five press articles said of DeepSeek R1 and V3, as data, and what can be shown.

``article`` is one article as a file of ``conf/article`` has it, ``claim`` one claim of
``conf/claim``, ``score`` a table of published scores of ``conf/score``, and ``ledger`` reads them
all and checks them against each other.

What can be shown: ``runs`` says which runs there are and whether one fits, ``scores``, ``ablation``
and ``proxies`` what they say, ``documents`` what arithmetic and sources say, ``market`` of moves of
prices, ``verdict`` how these make one verdict, and ``judge`` gives it for every claim.
"""
