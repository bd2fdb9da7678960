//! A client that writes ConfigMaps of its own: it says what to ask next and takes in the answer.
//!
//! It neither sends nor waits; nobody else writes its objects, so that every refusal is a broken promise. After an
//! answer that never came it reads the object, and goes on from what is there.

use std::collections::BTreeMap;

use machinery::request::{Answer, Content, Options, PatchKind, Request, Verb};
use machinery::status::Status;
use serde_json::{Value, json};

use crate::ledger::{Heard, Ledger, token, uid};

/// Objects of one writer at most.
const OBJECTS_MAX: u64 = 20;

/// A sequence of numbers that looks random, the same for the same seed.
///
/// Source: SplitMix64, <https://prng.di.unimi.it/splitmix64.c> (public domain).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }
}

/// What was asked and not answered yet.
#[derive(Clone, Debug)]
enum Asked {
    Put { name: String, token: String },
    Delete { name: String },
    Read { name: String },
}

/// One writer.
pub struct Writer {
    who: String,
    namespace: String,
    dice: Dice,
    writes: u64,
    objects: BTreeMap<String, Value>,
    asked: Option<Asked>,
    /// The object whose last write has an unknown outcome, with its token or none for a deletion.
    unsure: Option<(String, Option<String>)>,
    pub ledger: Ledger,
}

impl Writer {
    pub fn new(who: &str, namespace: &str, seed: u64) -> Self {
        Self {
            who: who.into(),
            namespace: namespace.into(),
            dice: Dice(seed),
            writes: 0,
            objects: BTreeMap::new(),
            asked: None,
            unsure: None,
            ledger: Ledger::default(),
        }
    }

    /// Whether nothing is unknown: a writer is stopped only then.
    pub fn is_sure(&self) -> bool {
        self.unsure.is_none()
    }

    /// The next request.
    pub fn ask(&mut self) -> Request {
        let (asked, request) = match &self.unsure {
            Some((name, _)) => (Asked::Read { name: name.clone() }, self.request(Verb::Get).name(name)),
            None => self.write(),
        };
        self.asked = Some(asked);
        request
    }

    fn request(&self, verb: Verb) -> Request {
        Request::new(verb, "", "v1", "configmaps").namespace(&self.namespace)
    }

    fn write(&mut self) -> (Asked, Request) {
        let name = format!("{}-{}", self.who, self.dice.roll(OBJECTS_MAX));
        self.writes += 1;
        let token = format!("{}-{}", self.who, self.writes);
        let Some(object) = self.objects.get(&name).cloned() else {
            let tree =
                json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"token": token}});
            return (Asked::Put { name, token }, self.request(Verb::Create).body(tree));
        };
        let kind = self.dice.roll(5);
        if kind == 0 {
            let mut request = self.request(Verb::Delete).name(&name);
            request.options = Options { precondition_uid: Some(uid(&object).to_owned()), ..Options::default() };
            return (Asked::Delete { name }, request);
        }
        let merge = json!({"data": {"token": token, format!("k{}", self.dice.roll(3)): token}});
        let request = match kind {
            1 => self.request(Verb::Patch(PatchKind::Merge)).body(merge),
            2 => self.request(Verb::Patch(PatchKind::Strategic)).body(merge),
            3 => {
                let replace = json!([{"op": "replace", "path": "/data/token", "value": token}]);
                self.request(Verb::Patch(PatchKind::Json)).body(replace)
            }
            _ => {
                let mut tree = object;
                tree["data"] = json!({"token": token});
                self.request(Verb::Update).body(tree)
            }
        };
        (Asked::Put { name: name.clone(), token }, request.name(&name))
    }

    /// Takes in the answer to the last request. Answers of 5xx and 429 leave the outcome unknown.
    pub fn hear(&mut self, answer: Result<Answer, Status>) {
        let Some(asked) = self.asked.take() else { return };
        let answer = match answer {
            Err(status) if status.code >= 500 || status.code == 429 => return self.unheard(asked),
            other => other,
        };
        match asked {
            Asked::Put { name, token } => self.put(name, token, answer),
            Asked::Delete { name } => self.deleted(&name, answer),
            Asked::Read { name } => self.read(&name, answer),
        }
    }

    fn unheard(&mut self, asked: Asked) {
        match asked {
            Asked::Put { name, token } => {
                self.ledger.put(&token, Heard::Unknown);
                self.unsure = Some((name, Some(token)));
            }
            Asked::Delete { name } => {
                self.ledger.delete(self.objects.get(&name).map_or("", uid), false);
                self.unsure = Some((name, None));
            }
            // It is asked again.
            Asked::Read { .. } => {}
        }
    }

    fn put(&mut self, name: String, wrote: String, answer: Result<Answer, Status>) {
        match content(answer) {
            Ok(object) if token(&object) == wrote => {
                let revision = object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
                let revision = revision.unwrap_or_default();
                self.ledger.put(&wrote, Heard::Done { revision, object: object.clone() });
                self.objects.insert(name, object);
            }
            Ok(object) => self.ledger.problem(format!("the write {wrote} was answered with {object}")),
            Err(why) => self.ledger.problem(format!("the write {wrote} of {name} was refused: {why}")),
        }
    }

    fn deleted(&mut self, name: &str, answer: Result<Answer, Status>) {
        match answer {
            Ok(_) => {
                let object = self.objects.remove(name).unwrap_or_default();
                self.ledger.delete(uid(&object), true);
            }
            Err(status) => self.ledger.problem(format!("the deletion of {name} was refused: {status}")),
        }
    }

    /// What is there after an unknown outcome is what was there before, or what was asked for.
    fn read(&mut self, name: &str, answer: Result<Answer, Status>) {
        let Some((_, wrote)) = self.unsure.take() else { return };
        let before = self.objects.remove(name);
        match answer {
            Err(status) if status.is_not_found() => {
                if before.is_some() && wrote.is_some() {
                    self.ledger.problem(format!("{name} is lost: it was {}", before.unwrap_or_default()));
                }
            }
            Err(status) => self.ledger.problem(format!("{name} could not be read: {status}")),
            other => match content(other) {
                Ok(object) if Some(&object) == before.as_ref() || wrote.as_deref() == Some(token(&object)) => {
                    self.objects.insert(name.into(), object);
                }
                Ok(object) => self.ledger.problem(format!("{name} is {object}, and was {before:?}")),
                Err(why) => self.ledger.problem(format!("{name} could not be read: {why}")),
            },
        }
    }
}

fn content(answer: Result<Answer, Status>) -> Result<Value, String> {
    match answer.map(|answer| answer.content) {
        Ok(Content::Object(object)) => Ok((*object.tree()).clone()),
        Ok(Content::Tree(tree)) => Ok((*tree).clone()),
        Ok(other) => Err(format!("{other:?}")),
        Err(status) => Err(status.to_string()),
    }
}
