"""The cockpit. Owns: the screen and its keys. Never: engine objects; it knows only the client and the snapshot.

Over ssh each byte may cost: there Textual draws less often and animates nothing. Twenty times a second is as rarely
as a key's answer allows (50 ms); snapshots come once a second. Textual reads that from the environment when it is
imported, so it is said here, before it is.
"""

import os

FAR = "SSH_CONNECTION" in os.environ or "SSH_TTY" in os.environ
if FAR:
    os.environ.setdefault("TEXTUAL_FPS", "20")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
