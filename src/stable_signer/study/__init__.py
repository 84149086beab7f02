"""The human study: one self-contained page that compares two systems; see docs/study.md."""
