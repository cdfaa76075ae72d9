"""Everything of gpbt that touches the world: frameworks, disks, processes, screens.

Nothing is imported here, so that an adapter costs only those who use it; each module is imported by its own name.
"""
