//! What no client in its right mind sends: bodies that were valid before somebody broke them. The answer is always
//! 2xx or 4xx; a panic would close the connection, and a 5xx says that it is our fault.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use machinery::yaml;
use serde_json::{Map, Value, json};

use crate::harness::{As, Got, Harness, got, request, with_header};
use crate::seeds;

/// Requests per sort of mutation; the whole takes some seconds.
const ROUNDS: u64 = 300;

/// SplitMix64: the same bodies in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n.max(1) as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// All places in a tree, as JSON pointers.
fn places(tree: &Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match tree {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", key.replace('/', "~1")), out));
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| places(item, &format!("{at}/{n}"), out)),
        _ => {}
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, n| if n % 2 == 0 { json!([inner]) } else { json!({ "a": inner }) })
}

/// Something that is probably wrong wherever it stands.
fn odd(dice: &mut Dice) -> Value {
    match dice.below(24) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(1.5),
        5 => json!(1e300),
        6 => json!(i64::MAX),
        7 => json!(u64::MAX),
        8 => json!(i64::MIN),
        9 => json!(""),
        10 => json!("\u{0}\u{7f}\u{2028}é🦀"),
        11 => json!("x".repeat(70_000)),
        12 => json!([]),
        13 => json!({}),
        14 => json!([null, null]),
        15 => json!({"": "", "a/b/c": 1, "$patch": "replace"}),
        16 => nested(100),
        17 => json!("9999999999999999999999999999999999999999Ei"),
        18 => json!("1e2147483647"),
        19 => json!("-0.0000000000000000000000001n"),
        20 => json!("9999-99-99T99:99:99Z"),
        21 => json!("999.999.999.999/99"),
        22 => json!("* * * * 99999999999999999999"),
        _ => json!(["a", 1, {"a": [true]}]),
    }
}

/// Breaks a tree in one to three places.
fn broken(tree: &Value, dice: &mut Dice) -> Value {
    let mut tree = tree.clone();
    for _ in 0..=dice.below(3) {
        let mut all = Vec::new();
        places(&tree, "", &mut all);
        let place = dice.pick(&all).clone();
        let Some(there) = tree.pointer_mut(&place) else { continue };
        *there = match (dice.below(4), &*there) {
            (0, Value::Object(map)) => {
                let kept = map.clone().into_iter().skip(1).chain([("unknown".to_owned(), odd(dice))]);
                kept.collect::<Map<_, _>>().into()
            }
            (0, Value::Array(items)) => items.iter().chain(items).cloned().collect::<Vec<_>>().into(),
            _ => odd(dice),
        };
    }
    tree
}

/// Breaks a text: cut, bytes changed, doubled.
fn torn(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    match dice.below(4) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => bytes.extend(text.as_bytes()),
        _ => {
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len());
                let new = dice.next().to_le_bytes()[0];
                match dice.below(3) {
                    0 => bytes[at] = new,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, *dice.pick(b"{}[]\",:\\-&*!|>%@`#\n\t 0e.\xff\x00")),
                }
            }
        }
    }
    bytes
}

/// A server, and a connection that is kept: a handshake for each mutant would take most of the time.
struct Target {
    server: Harness,
    line: SendRequest<Full<Bytes>>,
}

impl Target {
    /// A server with what pods ask for.
    async fn start() -> Self {
        let server = Harness::start().await;
        let account = json!({"metadata": {"name": "default"}}).to_string();
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        server.send(&As::Admin, request("POST", accounts, "application/json", account)).await;
        let line = server.line(&As::Admin).await;
        Self { server, line }
    }

    async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Got {
        request.headers_mut().insert("host", "localhost".parse().unwrap());
        // The server may close a connection after an answer, as it does after a body that is too large.
        if self.line.ready().await.is_err() {
            self.line = self.server.line(&As::Admin).await;
        }
        got(self.line.send_request(request).await.unwrap()).await
    }

    /// The code of the answer, which must not say that it is the server's fault.
    async fn judged(&mut self, method: &str, path: &str, media: &str, body: Vec<u8>) -> u16 {
        let shown = String::from_utf8_lossy(&body[..body.len().min(2000)]).into_owned();
        let got = self.send(request(method, path, media, body)).await;
        assert!((200..500).contains(&got.code), "{method} {path} {media}: {} {:?}\n{shown}", got.code, got.body);
        got.code
    }
}

/// A name of the caller's, unless the mutation was there.
fn named(mut tree: Value, name: &str) -> Value {
    // Reviews are asked, not kept.
    if tree.pointer("/spec/user").is_none()
        && let Some(metadata) = tree.pointer_mut("/metadata").and_then(Value::as_object_mut)
    {
        metadata.entry("name").or_insert_with(|| name.into());
    }
    tree
}

#[tokio::test]
async fn broken_objects_are_refused() {
    let mut server = Target::start().await;
    let (seeds, mut dice) = (seeds::all(), Dice(1));
    let mut made = 0;
    for (path, tree) in &seeds {
        let seed = named(tree.clone(), "seed").to_string();
        let got = server.send(request("POST", path, "application/json", seed)).await;
        assert_eq!(got.code, 201, "{path}: {:?}", got.body);
    }
    for round in 0..ROUNDS * 3 {
        let (path, tree) = dice.pick(&seeds).clone();
        let tree = named(broken(&tree, &mut dice), &format!("m{round}"));
        let strict = *dice.pick(&["", "?fieldValidation=Strict", "?dryRun=All", "?fieldValidation=Ignore"]);
        let (method, path) = match dice.below(3) {
            0 => ("PUT", format!("{path}/seed{strict}")),
            _ => ("POST", format!("{path}{strict}")),
        };
        let code = server.judged(method, &path, "application/json", tree.to_string().into()).await;
        made += u32::from(code < 300);
    }
    assert!(made > 0, "nothing at all was accepted: the mutations are too wild");
    // What was stored all the same can be read and shown.
    for (path, _) in seeds.iter().filter(|(path, _)| !path.contains("review")) {
        assert_eq!(server.send(request("GET", path, "", "")).await.code, 200);
        let table = with_header(request("GET", path, "", ""), "accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        assert_eq!(server.send(table).await.code, 200);
    }
}

#[tokio::test]
async fn torn_texts_are_refused() {
    let mut server = Target::start().await;
    let (seeds, mut dice) = (seeds::all(), Dice(2));
    for round in 0..ROUNDS {
        let (path, tree) = dice.pick(&seeds).clone();
        let tree = named(tree, &format!("t{round}"));
        let (media, text) = match dice.below(2) {
            0 => ("application/json", tree.to_string()),
            _ => ("application/yaml", yaml::emit(&tree)),
        };
        let body = torn(&text, &mut dice);
        server.judged("POST", path, media, body.clone()).await;
        server.judged("POST", path, "application/vnd.kubernetes.protobuf", [b"k8s\0".as_slice(), &body].concat()).await;
        server.judged("DELETE", &format!("{path}/none"), media, body).await;
    }
}

#[tokio::test]
async fn bodies_that_are_bombs_are_refused() {
    let mut server = Target::start().await;
    let path = "/api/v1/namespaces/default/configmaps";
    let deep = 1_000_000;
    let doubled = (0..40).map(|n| format!("a{n}: &a{n} [*a{m}, *a{m}]\n", m = n.max(1) - 1)).collect::<String>();
    let laughs = format!("x: &a0 [1, 1]\n{}", doubled.replacen("a0: &a0 [*a0, *a0]\n", "", 1));
    let bombs: [(&str, String); 12] = [
        ("application/json", "[".repeat(deep)),
        ("application/json", "{\"a\":".repeat(deep / 4)),
        ("application/json", format!("{{\"data\":{}{}}}", "[".repeat(deep), "]".repeat(deep))),
        ("application/json", format!("{{\"data\":{{\"a\":{}}}}}", "9".repeat(deep))),
        ("application/json", format!("{{\"data\":{{\"a\":1e{}}}}}", "9".repeat(deep))),
        ("application/yaml", "[".repeat(deep)),
        ("application/yaml", "- ".repeat(deep / 10)),
        ("application/yaml", "{a: ".repeat(deep / 10)),
        ("application/yaml", "? ".repeat(deep / 10)),
        ("application/yaml", laughs),
        ("application/yaml", format!("a: {}", "*".repeat(1000))),
        ("application/yaml", format!("a: !!binary {}", "=".repeat(1000))),
    ];
    for (media, bomb) in bombs {
        for (method, path) in [("POST", path.to_owned()), ("DELETE", format!("{path}/none"))] {
            let code = server.judged(method, &path, media, bomb.clone().into_bytes()).await;
            assert!((400..500).contains(&code), "{method} {media} {code} {}", &bomb[..30]);
        }
        let apply = "application/apply-patch+yaml";
        server.judged("PATCH", &format!("{path}/b?fieldManager=m"), apply, bomb.into_bytes()).await;
    }
}

/// A patch of random content, in the form of its sort more often than not.
fn patch(media: &str, tree: &Value, dice: &mut Dice) -> Value {
    if dice.below(8) == 0 {
        return odd(dice);
    }
    if media != "application/json-patch+json" {
        let mut patch = broken(tree, dice);
        let directives =
            ["$patch", "$retainKeys", "$setElementOrder/containers", "$deleteFromPrimitiveList/finalizers"];
        let mut all = Vec::new();
        places(&patch, "", &mut all);
        let place = dice.pick(&all).clone();
        if let Some(Value::Object(map)) = patch.pointer_mut(&place) {
            let values = [json!("delete"), json!("replace"), json!([{"name": "c"}]), json!(["a"]), json!(1)];
            let value = dice.pick(&values);
            map.insert((*dice.pick(&directives)).to_owned(), value.clone());
        }
        return patch;
    }
    let mut all = Vec::new();
    places(tree, "", &mut all);
    all.extend(
        ["", "/", "/-", "/spec/containers/-1", "/spec/containers/99999999999999999999", "/~", "x"].map(str::to_owned),
    );
    let operations = (0..dice.below(4)).map(|_| {
        let op = *dice.pick(&["add", "remove", "replace", "move", "copy", "test", "odd"]);
        json!({"op": op, "path": dice.pick(&all), "from": dice.pick(&all), "value": odd(dice)})
    });
    operations.collect::<Vec<_>>().into()
}

#[tokio::test]
async fn patches_of_any_content_are_answered() {
    let mut server = Target::start().await;
    let mut seeds = seeds::all();
    seeds.retain(|(path, _)| !path.contains("review"));
    let mut dice = Dice(3);
    for (path, tree) in &seeds {
        server.judged("POST", path, "application/json", named(tree.clone(), "seed").to_string().into()).await;
    }
    let media = [
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];
    for round in 0..ROUNDS * 3 {
        let (path, tree) = dice.pick(&seeds).clone();
        let media = *dice.pick(&media);
        let mut body = patch(media, &tree, &mut dice);
        if media.ends_with("yaml")
            && let Some(map) = body.as_object_mut()
        {
            let stored = server.send(request("GET", &format!("{path}/seed"), "", "")).await.json();
            map.insert("kind".into(), stored["kind"].clone());
            map.insert("apiVersion".into(), stored["apiVersion"].clone());
        }
        let part = *dice.pick(&["", "", "", "/status", "/scale"]);
        let query = *dice.pick(&["", "&force=true", "&fieldValidation=Strict", "&dryRun=All"]);
        let path = format!("{path}/seed{part}?fieldManager=m{}{query}", round % 3);
        let code = server.judged("PATCH", &path, media, body.to_string().into()).await;
        if code == 404 && part.is_empty() {
            // A patch may have taken the last finalizer, or the object may have been renamed away: never.
            panic!("{path} is gone");
        }
    }
}
