"""Readers of the ETL Character Database, whose files each user obtains from AIST."""
