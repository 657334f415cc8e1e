"""The embedded OTLP receiver: gRPC and HTTP on loopback, into the trace store."""
