"""Claims: what five press articles said of DeepSeek R1 and V3, as data, and what can be shown.

``claim`` is one claim as a file of ``conf/claim`` has it, ``score`` a table of published scores as
a file of ``conf/score`` has it, and ``ledger`` reads them all and checks them against each other.
"""
