"""The config room: servers.toml, environment and flags become one frozen `Config`."""
