//! The kernel's rule instructions, as far as they are used, and their encoding.

use std::net::Ipv4Addr;

use crate::netlink::Attributes;

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
pub(super) const NFTA_DATA_VALUE: u16 = 1;
pub(super) const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const REG_VERDICT: u32 = 0;
const REG32_00: u32 = 8;
const NFPROTO_IPV4: u32 = 2;
const NAT_DNAT: u32 = 1;
const NAT_RANDOM_FULLY: u32 = 1 << 4;
const ICMP_PORT_UNREACHABLE: u8 = 3;

/// One of the sixteen 4-byte registers. Fields of a concatenation lie in consecutive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Register(pub u8);

/// Where an offset into the packet counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Base {
    Network = 1,
    Transport = 2,
}

/// What happens to the packet next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(String),
    Goto(String),
}

/// How a packet is refused towards its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reject {
    PortUnreachable,
    TcpReset,
}

/// What a set lookup does beside looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// Matches if the key is there.
    Contains,
    /// Matches if it is not.
    Lacks,
    /// Matches if the key is there, and loads the map's value.
    Value(Register),
    /// Does what the verdict map says.
    Verdict,
}

/// One instruction. What does not match ends the rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expression {
    /// Bytes of the packet.
    Payload {
        base: Base,
        offset: u8,
        length: u8,
        to: Register,
    },
    /// The transport protocol's number.
    Protocol {
        to: Register,
    },
    Mark {
        to: Register,
    },
    SetMark {
        from: Register,
    },
    /// The packet's queueing priority. Forwarding sets it anew, so it serves as a place for a number between two rules.
    Priority {
        to: Register,
    },
    SetPriority {
        from: Register,
    },
    /// The name of the link by which the packet leaves, sixteen bytes.
    OutLink {
        to: Register,
    },
    /// How routing sees the destination (`RTN_LOCAL` is 2).
    DestinationType {
        to: Register,
    },
    SourceType {
        to: Register,
    },
    /// The connection's state bits.
    State {
        to: Register,
    },
    Equal {
        from: Register,
        value: Vec<u8>,
    },
    Differs {
        from: Register,
        value: Vec<u8>,
    },
    /// `(from & mask) ^ xor`
    Bits {
        from: Register,
        to: Register,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    Lookup {
        set: String,
        from: Register,
        then: Lookup,
    },
    Load {
        to: Register,
        value: Vec<u8>,
    },
    Random {
        modulus: u32,
        to: Register,
    },
    /// Adds a key (with a map's value), or renews its timeout.
    Remember {
        set: String,
        key: Register,
        value: Option<Register>,
        timeout_ms: u64,
    },
    /// Removes a key of a map; `value` is any register that holds something (the kernel asks for one, and ignores it).
    Forget {
        set: String,
        key: Register,
        value: Register,
    },
    DestinationNat {
        address: Register,
        port: Register,
    },
    Masquerade,
    Reject(Reject),
    Verdict(Verdict),
}

const PRIORITY: u32 = 2;
const MARK: u32 = 3;
const OUT_LINK: u32 = 7;
const PROTOCOL: u32 = 16;
const STATE: u32 = 0;
const STATE_NEW: u32 = 8;
const FIB_ADDRTYPE: u32 = 3;
const FIB_SOURCE: u32 = 1;
const FIB_DESTINATION: u32 = 2;
const ROUTE_LOCAL: u32 = 2;

impl Register {
    fn number(self) -> u32 {
        REG32_00 + u32::from(self.0)
    }
}

/// Short names for what rules are usually made of.
impl Expression {
    pub fn source(to: Register) -> Self {
        Self::Payload { base: Base::Network, offset: 12, length: 4, to }
    }

    pub fn destination(to: Register) -> Self {
        Self::Payload { base: Base::Network, offset: 16, length: 4, to }
    }

    pub fn destination_port(to: Register) -> Self {
        Self::Payload { base: Base::Transport, offset: 2, length: 2, to }
    }

    pub fn jump(chain: &str) -> Self {
        Self::Verdict(Verdict::Jump(chain.to_owned()))
    }

    pub fn goto(chain: &str) -> Self {
        Self::Verdict(Verdict::Goto(chain.to_owned()))
    }

    /// Matches the first packet of a connection.
    pub fn is_new() -> [Self; 3] {
        let (register, none) = (Register(0), 0_u32.to_ne_bytes().to_vec());
        let mask = STATE_NEW.to_ne_bytes().to_vec();
        [
            Self::State { to: register },
            Self::Bits { from: register, to: register, mask, xor: none.clone() },
            Self::Differs { from: register, value: none },
        ]
    }

    /// Matches packets to an address of this machine.
    pub fn is_to_here() -> [Self; 2] {
        let here = ROUTE_LOCAL.to_ne_bytes().to_vec();
        [Self::DestinationType { to: Register(0) }, Self::Equal { from: Register(0), value: here }]
    }

    /// Matches packets from an address of this machine.
    pub fn is_from_here() -> [Self; 2] {
        let here = ROUTE_LOCAL.to_ne_bytes().to_vec();
        [Self::SourceType { to: Register(0) }, Self::Equal { from: Register(0), value: here }]
    }

    /// Matches (or, with `within` false, does not match) source addresses in the range.
    pub fn source_in(network: Ipv4Addr, mask: Ipv4Addr, within: bool) -> [Self; 3] {
        Self::range(Self::source(Register(0)), network, mask, within)
    }

    pub fn destination_in(network: Ipv4Addr, mask: Ipv4Addr, within: bool) -> [Self; 3] {
        Self::range(Self::destination(Register(0)), network, mask, within)
    }

    fn range(load: Self, network: Ipv4Addr, mask: Ipv4Addr, within: bool) -> [Self; 3] {
        let (from, value) = (Register(0), network.octets().to_vec());
        let bits = Self::Bits { from, to: from, mask: mask.octets().to_vec(), xor: vec![0; 4] };
        [load, bits, if within { Self::Equal { from, value } } else { Self::Differs { from, value } }]
    }

    /// Sets these bits of the packet's mark.
    pub fn add_mark(bits: u32) -> [Self; 3] {
        let (mask, xor) = ((!bits).to_ne_bytes().to_vec(), bits.to_ne_bytes().to_vec());
        let register = Register(0);
        let set = Self::Bits { from: register, to: register, mask, xor };
        [Self::Mark { to: register }, set, Self::SetMark { from: register }]
    }

    /// Matches packets with any of these bits in their mark.
    pub fn has_mark(bits: u32) -> [Self; 3] {
        let (register, none) = (Register(0), vec![0; 4]);
        let mask = bits.to_ne_bytes().to_vec();
        [
            Self::Mark { to: register },
            Self::Bits { from: register, to: register, mask, xor: none.clone() },
            Self::Differs { from: register, value: none },
        ]
    }
}

// === encoding ===

pub(super) fn write_rule(a: &mut Attributes<'_>, rule: &[Expression]) {
    for expression in rule {
        a.nest(NFTA_LIST_ELEM, |a| {
            a.text(NFTA_EXPR_NAME, name(expression));
            a.nest(NFTA_EXPR_DATA, |a| write(a, expression));
        });
    }
}

fn name(expression: &Expression) -> &'static str {
    match expression {
        Expression::Payload { .. } => "payload",
        Expression::Protocol { .. }
        | Expression::Mark { .. }
        | Expression::SetMark { .. }
        | Expression::Priority { .. }
        | Expression::SetPriority { .. }
        | Expression::OutLink { .. } => "meta",
        Expression::DestinationType { .. } | Expression::SourceType { .. } => "fib",
        Expression::State { .. } => "ct",
        Expression::Equal { .. } | Expression::Differs { .. } => "cmp",
        Expression::Bits { .. } => "bitwise",
        Expression::Lookup { .. } => "lookup",
        Expression::Load { .. } | Expression::Verdict(_) => "immediate",
        Expression::Random { .. } => "numgen",
        Expression::Remember { .. } | Expression::Forget { .. } => "dynset",
        Expression::DestinationNat { .. } => "nat",
        Expression::Masquerade => "masq",
        Expression::Reject(_) => "reject",
    }
}

fn write(a: &mut Attributes<'_>, expression: &Expression) {
    match expression {
        Expression::Payload { base, offset, length, to } => {
            numbers(a, &[to.number(), *base as u32, u32::from(*offset), u32::from(*length)]);
        }
        Expression::Protocol { to } => numbers(a, &[to.number(), PROTOCOL]),
        Expression::Mark { to } => numbers(a, &[to.number(), MARK]),
        Expression::OutLink { to } => numbers(a, &[to.number(), OUT_LINK]),
        Expression::Priority { to } => numbers(a, &[to.number(), PRIORITY]),
        Expression::SetPriority { from } => {
            a.be32(2, PRIORITY);
            a.be32(3, from.number());
        }
        Expression::SetMark { from } => {
            a.be32(2, MARK);
            a.be32(3, from.number());
        }
        Expression::DestinationType { to } => numbers(a, &[to.number(), FIB_ADDRTYPE, FIB_DESTINATION]),
        Expression::SourceType { to } => numbers(a, &[to.number(), FIB_ADDRTYPE, FIB_SOURCE]),
        Expression::State { to } => numbers(a, &[to.number(), STATE]),
        Expression::Equal { from, value } => compare(a, *from, 0, value),
        Expression::Differs { from, value } => compare(a, *from, 1, value),
        Expression::Bits { from, to, mask, xor } => {
            numbers(a, &[from.number(), to.number(), mask.len() as u32]);
            a.nest(4, |a| a.bytes(NFTA_DATA_VALUE, mask));
            a.nest(5, |a| a.bytes(NFTA_DATA_VALUE, xor));
        }
        Expression::Lookup { set, from, then } => lookup(a, set, *from, *then),
        Expression::Load { to, value } => {
            a.be32(1, to.number());
            a.nest(2, |a| a.bytes(NFTA_DATA_VALUE, value));
        }
        Expression::Random { modulus, to } => numbers(a, &[to.number(), *modulus, 1, 0]),
        Expression::Remember { set, key, value, timeout_ms } => remember(a, set, *key, *value, *timeout_ms),
        Expression::Forget { set, key, value } => {
            a.text(1, set);
            a.be32(3, 2);
            a.be32(4, key.number());
            a.be32(5, value.number());
        }
        Expression::DestinationNat { address, port } => {
            numbers(a, &[NAT_DNAT, NFPROTO_IPV4]);
            a.be32(3, address.number());
            a.be32(5, port.number());
        }
        Expression::Masquerade => a.be32(1, NAT_RANDOM_FULLY),
        Expression::Reject(Reject::PortUnreachable) => {
            a.be32(1, 0);
            a.u8(2, ICMP_PORT_UNREACHABLE);
        }
        Expression::Reject(Reject::TcpReset) => a.be32(1, 1),
        Expression::Verdict(verdict) => {
            a.be32(1, REG_VERDICT);
            a.nest(2, |a| write_verdict(a, verdict));
        }
    }
}

/// Big-endian numbers as the attributes 1, 2, 3 and so on.
fn numbers(a: &mut Attributes<'_>, values: &[u32]) {
    for (kind, value) in (1..).zip(values) {
        a.be32(kind, *value);
    }
}

fn compare(a: &mut Attributes<'_>, from: Register, operation: u32, value: &[u8]) {
    numbers(a, &[from.number(), operation]);
    a.nest(3, |a| a.bytes(NFTA_DATA_VALUE, value));
}

fn lookup(a: &mut Attributes<'_>, set: &str, from: Register, then: Lookup) {
    a.text(1, set);
    a.be32(2, from.number());
    match then {
        Lookup::Contains => {}
        Lookup::Lacks => a.be32(5, 1),
        Lookup::Value(to) => a.be32(3, to.number()),
        Lookup::Verdict => a.be32(3, REG_VERDICT),
    }
}

fn remember(a: &mut Attributes<'_>, set: &str, key: Register, value: Option<Register>, timeout_ms: u64) {
    const UPDATE: u32 = 1;
    a.text(1, set);
    a.be32(3, UPDATE);
    a.be32(4, key.number());
    if let Some(value) = value {
        a.be32(5, value.number());
    }
    a.be64(6, timeout_ms);
}

pub(super) fn write_verdict(a: &mut Attributes<'_>, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Accept => (1, None),
        Verdict::Drop => (0, None),
        Verdict::Jump(chain) => (-3, Some(chain)),
        Verdict::Goto(chain) => (-4, Some(chain)),
        Verdict::Return => (-5, None),
    };
    a.nest(NFTA_DATA_VERDICT, |a| {
        a.be32(NFTA_VERDICT_CODE, code as u32);
        if let Some(chain) = chain {
            a.text(NFTA_VERDICT_CHAIN, chain);
        }
    });
}
