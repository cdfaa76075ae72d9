"""What outlives a process: `checkpoints` keeps the weights of trials, `journal` keeps studies in a database.

Start with `checkpoints.store`, the protocol of a checkpoint store, and with `journal.study`, an optimizer whose every
event is stored before anyone acts on it. May import `views`, for what a notebook displays.
"""
