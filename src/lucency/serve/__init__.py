"""HTTP around a reader: one process that listens, others that read, bounded queues, clear answers.

    client ─► around ─► app ─► entry ─► pool ─► worker (a process) ─► reader
              │         │      │        └ a film that hangs or kills its process costs that process, not the server
              │         │      └ a place or 503; the body within its limits, in memory only
              │         └ routes, and what OpenAPI says of them
              └ one log line, metrics, and a last resort for errors; nothing of a film in any of them

Films are personal data. They are never written to disk, and neither they nor the names that clients give them are
logged, counted or echoed in an error.
"""
