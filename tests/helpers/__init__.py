"""What tests share: servers and processes, sample data and people, tokens and clocks, and expected answers."""
