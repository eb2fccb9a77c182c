"""What is known of providers and their models: data, and the little code that reads it.

Theory of operation: `profiles.toml` says where each provider's API is, which variable usually holds
its key, which wire dialect it speaks, and how it departs from that dialect; `[[...models]]` rows
say what is special about some of its models. A `Profile` is what applies to one model at one place:
the dialect's row, then the provider's, then its rows for that dialect, then those of its models,
each key by key. A user's own tables (`[providers.x]` in servers.toml) are laid over the built-in
ones. So adding a provider is a table and no code; config, which names providers, and models, which
speak to them, read the same rows from this floor below both."""
