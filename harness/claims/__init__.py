"""Claims: what five press articles said of DeepSeek R1 and V3, as data, and what can be shown.

``claim`` is one claim as a file of ``conf/claim`` has it, ``published`` a table of published
scores as a file of ``conf/published`` has it, and ``ledger`` reads and cross-checks them all.
"""
