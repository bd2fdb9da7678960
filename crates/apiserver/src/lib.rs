//! HTTP, TLS, who are you, may you, streams, discovery, OpenAPI.
