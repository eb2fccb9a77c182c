"""What holds for every test."""

from hypothesis import HealthCheck, settings

# No test may fail because the machine was slow.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
