"""Test mail, generated: realistic and hostile, with planted personal data, the same bytes for the same seed."""
