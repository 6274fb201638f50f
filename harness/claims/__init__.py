"""Claims: what five press articles said of DeepSeek R1 and V3, as data, and what can be shown.

``claim`` is one claim as a file of ``conf/claim`` has it, ``score`` a table of published scores as
a file of ``conf/score`` has it, and ``ledger`` reads them all and checks them against each other.

What can be shown: ``runs`` says which runs there are and whether one fits, ``scores``, ``ablation``
and ``proxies`` what they say, ``documents`` what arithmetic and sources say, ``verdict`` how these
make one verdict, and ``judge`` gives it for every claim.
"""
