//! What is proxied, put right for where the client finds it: links of HTML pages and redirects that lead to the
//! server's own root are led below `…/proxy`. Pages are rewritten as they come; what is not HTML is left alone, and
//! so are links in scripts and style sheets, as upstream does it.

mod html;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Response};

use crate::wire::{Body, BodyError};
use html::Page;

/// What a browser is told about other origins speaks of the server behind, not of this one.
const NOT_THEIRS_TO_SAY: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
];

/// Where a page is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The path below which the client finds it, without a slash at the end.
    pub prefix: String,
    /// The hosts that are this server: the address behind, and the name that the client used.
    pub hosts: [String; 2],
}

impl Place {
    /// The link as the client has to follow it; `None` when it is right already.
    pub fn led(&self, link: &str) -> Option<String> {
        let (host, rest) = host_and_rest(link);
        let foreign = !host.is_empty() && !self.hosts.iter().any(|own| own == host);
        if foreign || !rest.starts_with('/') {
            return None;
        }
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let (path, tail) = rest.split_at(end);
        if path.starts_with(&self.prefix) {
            return (!host.is_empty()).then(|| rest.to_owned());
        }
        Some(format!("{}{tail}", joined(&self.prefix, path)))
    }
}

/// `http://host/rest` or `//host/rest`; no host in any other link.
fn host_and_rest(link: &str) -> (&str, &str) {
    let is_scheme = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let after = match link.split_once("//") {
        Some(("", after)) => after,
        Some((scheme, after)) if scheme.strip_suffix(':').is_some_and(is_scheme) => after,
        _ => return ("", link),
    };
    after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()))
}

/// Both paths as one without `.`, `..` and double slashes; a slash at the end stays.
fn joined(prefix: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in prefix.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if path.ends_with('/') { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

/// The response for the client.
pub fn response(mut response: Response<Body>, place: Place) -> Response<Body> {
    let headers = response.headers_mut();
    for name in NOT_THEIRS_TO_SAY {
        headers.remove(*name);
    }
    if let Some(location) = headers.get(LOCATION) {
        let led = location.to_str().ok().and_then(|link| place.led(link));
        if let Some(value) = led.and_then(|link| HeaderValue::from_str(&link).ok()) {
            headers.insert(LOCATION, value);
        }
        return response;
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_page = kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html");
    if !is_page || headers.contains_key(CONTENT_ENCODING) {
        return response;
    }
    headers.remove(CONTENT_LENGTH);
    response.map(|body| Body::Stream(rewritten(body.into_stream(), Page::new(place))))
}

type Chunks = BoxStream<'static, Result<Bytes, BodyError>>;

fn rewritten(chunks: Chunks, page: Page) -> Chunks {
    Box::pin(stream::unfold((chunks, Some(page)), |(mut chunks, page)| async move {
        let mut page = page?;
        loop {
            match chunks.next().await {
                Some(Ok(chunk)) => {
                    let ready = page.feed(&chunk);
                    if !ready.is_empty() {
                        return Some((Ok(Bytes::from(ready)), (chunks, Some(page))));
                    }
                }
                Some(Err(error)) => return Some((Err(error), (chunks, None))),
                None => return Some((Ok(Bytes::from(page.end())), (chunks, None))),
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { prefix: "/a/proxy".into(), hosts: ["10.0.0.1:80".into(), "kube:6443".into()] }
    }

    #[test]
    fn links_to_the_root_are_led_below_the_proxy() {
        let led = |link| place().led(link);
        assert_eq!(led("/x").as_deref(), Some("/a/proxy/x"));
        assert_eq!(led("/").as_deref(), Some("/a/proxy/"));
        assert_eq!(led("/x//y/../z/?q=/1#f").as_deref(), Some("/a/proxy/x/z/?q=/1#f"));
        assert_eq!(led("http://10.0.0.1:80/x").as_deref(), Some("/a/proxy/x"));
        assert_eq!(led("//kube:6443/x?y").as_deref(), Some("/a/proxy/x?y"));
        assert_eq!(led("https://kube:6443/a/proxy/x").as_deref(), Some("/a/proxy/x"));
        for stays in
            ["x", "?q", "#f", "", "/a/proxy/x", "http://other/x", "//other/x", "mailto:a@b", "x//y", "data:/,x"]
        {
            assert_eq!(led(stays), None, "{stays}");
        }
    }

    #[test]
    fn redirects_follow_and_only_pages_are_read() {
        let made = |name: &'static str, value: &'static str| {
            let mut made = Response::new(Body::from("<a href=/x>"));
            made.headers_mut().insert(name, HeaderValue::from_static(value));
            made.headers_mut().insert("content-length", HeaderValue::from_static("11"));
            response(made, place())
        };
        assert_eq!(made("location", "/x").headers()["location"], "/a/proxy/x");
        assert!(made("content-type", "text/plain").headers().contains_key("content-length"));
        assert!(!made("content-type", "text/html; charset=utf-8").headers().contains_key("content-length"));
        assert!(made("access-control-allow-origin", "*").headers().get("access-control-allow-origin").is_none());
    }
}
