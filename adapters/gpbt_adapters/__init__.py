"""Everything in gpbt that touches the world: frameworks, disks, databases, processes, screens.

Six rooms; each may import the ones below it and never the ones above (checked by import-linter):

    cli         the `gpbt` command
    showing     plots, the report, the dashboard, loggers
    running     `run` and everything it takes to train a population: processes, clusters, interrupts
    trainables  what is trained: the protocol, its conformance kit, one folder per framework
    storing     checkpoints on disk, studies in a database
    views       the numbers and words that describe a run
    searching   searchers that other libraries implement

`showing` and `running` do not import each other. Users import the names they need from `gpbt`.
"""
