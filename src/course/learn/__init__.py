"""`./course learn`: the lesson, the student's work, its checks, its log and its wires on one page.

Data flows one way: a save or a command changes the state (engine.py, runs.py), the state is sent to
each open page (server.py), and the page shows what it is sent.
"""
