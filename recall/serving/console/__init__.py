"""The console: a web page beside the metrics. Its web library is an extra, so nothing here is imported unasked."""
