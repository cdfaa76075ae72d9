"""How you look at a run: plots, an HTML report, a live dashboard, and loggers for other tools.

Everything drawn here starts from `views`, so a plot, the report and the dashboard always show the same numbers. Start
with `page`, which lists what a report and the dashboard contain; `figures` draws them with plotly and `printed` with
matplotlib; `sources` follows a study in a journal for the dashboard. May import `storing` and `views`.
"""
