//! `proxy` of pods, services and nodes: the request goes on to the address behind the name, over TLS for
//! `https:NAME:PORT`.

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderValue, Method, Request, Response};
use machinery::request::{Content, List, Request as ApiRequest, Verb};
use machinery::status::Status;
use serde_json::Value;

use super::rewrite::{self, Place};
use super::{dial, relay, target};
use crate::door::{Call, Door};
use crate::identity;
use crate::wire::Body;
use crate::wire::intake::Came;
use crate::wire::path::ResourcePath;

const HTTP_PORT: u16 = 80;

/// `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`.
struct Id {
    scheme: String,
    name: String,
    port: String,
}

pub async fn answer(
    door: &Arc<Door>,
    call: Call,
    path: ResourcePath,
    incoming: Came,
) -> Result<Response<Body>, Status> {
    let id = id(&path)?;
    let incoming = incoming.take()?;
    let query = incoming.uri().query().unwrap_or_default().to_owned();
    let upgrades = relay::wants_upgrade(&call.headers);
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    if reads && !upgrades && path.rest.is_empty() {
        return Ok(to_slash(&call.path, &query));
    }
    let (stream, authority) = match path.resource.as_str() {
        "nodes" => {
            let kubelet = target::kubelet(door, &id.name).await?;
            if !id.port.is_empty() && id.port != kubelet.port.to_string() {
                let port = id
                    .port
                    .parse()
                    .map_err(|_| Status::bad_request(format!("invalid node request {:?}", path.name)))?;
                (dial::plain(&kubelet.host, port).await?, target::authority(&kubelet.host, port))
            } else {
                (dial::kubelet(door, &kubelet).await?, kubelet.authority())
            }
        }
        "pods" => to(&id, pod(door, &path, &id).await?).await?,
        _ => to(&id, service(door, &path, &id).await?).await?,
    };
    let (prefix, rest) = parts(&call.path, &path);
    let client = call.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let place = Place { prefix: prefix.to_owned(), hosts: [authority.clone(), client.to_owned()] };
    let mut request = relay::with_headers(relay::request(&call.method, rest, &query, &authority), &call.headers);
    forwarded(&mut request, &call);
    if upgrades {
        return relay::upgrade(stream, request, incoming, &call.connection).await;
    }
    let length = incoming.headers().get(http::header::CONTENT_LENGTH).cloned();
    let mut request = relay::with_body(request, incoming.into_body());
    if let Some(length) = length {
        request.headers_mut().insert(http::header::CONTENT_LENGTH, length);
    }
    let response = relay::send(stream, request).await;
    response
        .map(|response| rewrite::response(relay::passed_on(response, &call.connection), place))
        .map_err(|s| Status::unavailable(format!("error trying to reach service: {}", s.message)))
}

/// The path up to `…/proxy`, and the rest of it, which goes on as the client escaped it.
fn parts<'a>(raw: &'a str, path: &ResourcePath) -> (&'a str, &'a str) {
    // /api/v1/nodes/NAME/proxy/ and /api/v1/namespaces/NAMESPACE/pods/NAME/proxy/
    let slashes = if path.namespace.is_empty() { 5 } else { 7 };
    let at = raw.match_indices('/').nth(slashes).map_or(raw.len(), |(at, _)| at);
    (&raw[..at], if at == raw.len() { "/" } else { &raw[at..] })
}

/// Relative links in what is proxied work only below a slash.
fn to_slash(path: &str, query: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::MOVED_PERMANENTLY;
    let mark = if query.is_empty() { "" } else { "?" };
    if let Ok(place) = HeaderValue::from_str(&format!("{path}/{mark}{query}")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

fn forwarded<B>(request: &mut Request<B>, call: &Call) {
    let host = call.headers.get(http::header::HOST).cloned();
    if let Ok(remote) = HeaderValue::from_str(&call.connection.remote.ip().to_string()) {
        request.headers_mut().append("x-forwarded-for", remote);
    }
    if let Some(host) = host {
        request.headers_mut().insert("x-forwarded-host", host);
    }
    if let Ok(uri) = HeaderValue::from_str(&call.path) {
        request.headers_mut().insert("x-forwarded-uri", uri);
    }
    request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static("https"));
}

fn id(path: &ResourcePath) -> Result<Id, Status> {
    let parts: Vec<_> = path.name.split(':').map(str::to_owned).collect();
    let found = match parts.as_slice() {
        [name] => Id { scheme: String::new(), name: name.clone(), port: String::new() },
        [name, port] => Id { scheme: String::new(), name: name.clone(), port: port.clone() },
        [scheme, name, port] => Id { scheme: scheme.clone(), name: name.clone(), port: port.clone() },
        _ => Id { scheme: "?".into(), name: String::new(), port: String::new() },
    };
    if found.name.is_empty() || !matches!(found.scheme.as_str(), "" | "http" | "https") {
        let what = path.resource.trim_end_matches('s');
        return Err(Status::bad_request(format!("invalid {what} request {:?}", path.name)));
    }
    Ok(found)
}

async fn to(id: &Id, (host, port): (String, u16)) -> Result<(Box<dyn dial::ByteStream>, String), Status> {
    let stream = match id.scheme.as_str() {
        "https" => dial::encrypted(&host, port).await?,
        _ => dial::plain(&host, port).await?,
    };
    Ok((stream, target::authority(&host, port)))
}

async fn pod(door: &Door, path: &ResourcePath, id: &Id) -> Result<(String, u16), Status> {
    let pod = door.front.authenticator.live().get("pods", &path.namespace, &id.name).await?;
    let address = pod["status"]["podIP"].as_str().unwrap_or_default();
    if address.parse::<std::net::IpAddr>().map_or(true, |ip| ip.is_loopback() || ip.is_unspecified()) {
        return Err(Status::bad_request("address not allowed"));
    }
    let declared = || {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        containers.flat_map(|c| c["ports"].as_array().into_iter().flatten()).find_map(|p| p["containerPort"].as_u64())
    };
    let port = match id.port.as_str() {
        "" => declared().and_then(|p| u16::try_from(p).ok()).unwrap_or(HTTP_PORT),
        text => text.parse().map_err(|_| Status::bad_request(format!("invalid pod request {:?}", path.name)))?,
    };
    Ok((address.to_owned(), port))
}

/// A ready endpoint of the service, chosen at random, that is a pod.
async fn service(door: &Door, path: &ResourcePath, id: &Id) -> Result<(String, u16), Status> {
    let mut port_name = id.port.clone();
    let service = door.front.authenticator.live().get("services", &path.namespace, &id.name).await?;
    if let Ok(number) = id.port.parse::<u64>() {
        let ports = service["spec"]["ports"].as_array().into_iter().flatten();
        let found = ports
            .into_iter()
            .find(|p| p["port"].as_u64() == Some(number))
            .ok_or_else(|| Status::unavailable(format!("no service port {number} found for service {:?}", id.name)))?;
        port_name = found["name"].as_str().unwrap_or_default().to_owned();
    }
    let slices = slices(door, &path.namespace, &id.name).await?;
    let mut found = Vec::new();
    for slice in &slices.items {
        let slice = slice.tree();
        let ports = slice["ports"].as_array().into_iter().flatten();
        let named = |p: &&Value| p["name"].as_str().unwrap_or_default() == port_name;
        let Some(port) = ports.into_iter().find(named).and_then(|p| u16::try_from(p["port"].as_u64()?).ok()) else {
            continue;
        };
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let ready = endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
            if ready && endpoint["targetRef"]["kind"] == "Pod" {
                let addresses = endpoint["addresses"].as_array().into_iter().flatten();
                found.extend(addresses.filter_map(|a| Some((a.as_str()?.to_owned(), port))));
            }
        }
    }
    let mut random = [0u8; 8];
    let _ = aws_lc_rs::rand::fill(&mut random);
    let at = usize::try_from(u64::from_le_bytes(random) % found.len().max(1) as u64).unwrap_or(0);
    let none = || Status::unavailable(format!("no endpoints available for service {:?}", path.name));
    found.into_iter().nth(at).ok_or_else(none)
}

async fn slices(door: &Door, namespace: &str, service: &str) -> Result<List, Status> {
    let mut request = ApiRequest::new(Verb::List, "discovery.k8s.io", "v1", "endpointslices").namespace(namespace);
    request.options.label_selector = format!("kubernetes.io/service-name={service}");
    match door.front.registry().call(&identity::apiserver(), request).await?.content {
        Content::List(list) => Ok(list),
        _ => Err(Status::internal("a list was answered with something else")),
    }
}
