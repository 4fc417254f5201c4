"""What each subcommand takes and does. Nothing heavy is imported before it is needed: `--help` answers at once."""
