//! A snapshot: the whole state at one revision in one checksummed file.
//!
//! ```text
//!   u64 revision | u64 last lease | u32 leases | (u64 id, u64 ttl)* | u32 entries |
//!   (u64 create, u64 mod, u64 lease, key, value)* | u32 crc of all before
//! ```

use std::collections::BTreeMap;

use crate::frame::{Reader, write_bytes};
use crate::state::{Lease, State};
use crate::{Entry, StoreError};

const CRC_BYTES: usize = 4;

pub fn encode(state: &State) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&state.revision.to_le_bytes());
    out.extend_from_slice(&state.last_lease.to_le_bytes());
    out.extend_from_slice(&(state.leases.len() as u32).to_le_bytes());
    for (id, lease) in &state.leases {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&lease.ttl_seconds.to_le_bytes());
    }
    out.extend_from_slice(&(state.entries.len() as u32).to_le_bytes());
    for entry in state.entries.values() {
        for number in [entry.create_revision, entry.mod_revision, entry.lease.unwrap_or(0)] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        write_bytes(&mut out, &entry.key);
        write_bytes(&mut out, &entry.value);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Reads a snapshot; `file` names it in errors. Leases start anew from `now_ms`.
pub fn decode(file: &str, bytes: &[u8], now_ms: u64) -> Result<State, StoreError> {
    let damaged = |what: &str| StoreError::Damaged { file: file.into(), offset: 0, what: what.into() };
    let cut = bytes.len().checked_sub(CRC_BYTES).ok_or_else(|| damaged("a snapshot without a checksum"))?;
    let (body, crc) = bytes.split_at(cut);
    if crc32fast::hash(body).to_le_bytes() != crc {
        return Err(damaged("the snapshot's checksum does not match"));
    }
    read(&mut Reader { rest: body }, now_ms).ok_or_else(|| damaged("the snapshot is cut"))
}

fn read(reader: &mut Reader<'_>, now_ms: u64) -> Option<State> {
    let mut state = State { revision: reader.long()?, last_lease: reader.long()?, ..State::default() };
    for _ in 0..reader.int()? {
        let (id, ttl_seconds) = (reader.long()?, reader.long()?);
        let lease = Lease { ttl_seconds, ends_ms: now_ms + ttl_seconds * 1000, keys: BTreeMap::new() };
        state.leases.insert(id, lease);
    }
    for _ in 0..reader.int()? {
        let (create_revision, mod_revision) = (reader.long()?, reader.long()?);
        let lease = Some(reader.long()?).filter(|lease| *lease != 0);
        let entry = Entry { key: reader.bytes()?, value: reader.bytes()?, create_revision, mod_revision, lease };
        if let Some(holder) = lease.and_then(|l| state.leases.get_mut(&l)) {
            holder.keys.insert(entry.key.clone(), ());
        }
        state.entries.insert(entry.key.clone(), entry);
    }
    Some(state)
}
