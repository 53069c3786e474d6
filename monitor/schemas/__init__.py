"""By which schema was a record written? Asks a schema registry beside the loop, and keeps what it answered."""
