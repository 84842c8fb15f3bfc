"""An app with jobs to watch workers by; installed by team.tests.worker_settings."""
