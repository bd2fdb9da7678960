//! Header blocks: names and values, compressed by zlib with the dictionary that the specification fixes. Each direction
//! of a connection is one zlib stream. Not here: frames.

use std::collections::BTreeMap;
use std::io;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Of the dictionary: words, each preceded by its length in four bytes.
const DICTIONARY_WORDS: &str = "options,head,post,put,delete,trace,accept,accept-charset,accept-encoding,accept-language,accept-ranges,\
    age,allow,authorization,cache-control,connection,content-base,content-encoding,content-language,\
    content-length,content-location,content-md5,content-range,content-type,date,etag,expect,expires,from,\
    host,if-match,if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,location,\
    max-forwards,pragma,proxy-authenticate,proxy-authorization,range,referer,retry-after,server,te,trailer,\
    transfer-encoding,upgrade,user-agent,vary,via,warning,www-authenticate,method,get,status,200 OK,version,\
    HTTP/1.1,url,public,set-cookie,keep-alive,origin";
/// What follows the words.
const DICTIONARY_TAIL: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Author\
    itative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 No\
    t Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Au\
    g Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,\
    image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,def\
    late,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
/// Bytes of one block, uncompressed.
const BLOCK_LENGTH_MAX: usize = 64 << 10;

/// Names in lower case.
pub type Headers = BTreeMap<String, String>;

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in DICTIONARY_WORDS.split(',') {
        bytes.extend_from_slice(&(word.len() as u32).to_be_bytes());
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.extend_from_slice(DICTIONARY_TAIL.as_bytes());
    bytes
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("SPDY headers: {what}"))
}

pub struct Encoder(Compress);

impl Encoder {
    pub fn new() -> io::Result<Encoder> {
        let mut stream = Compress::new(Compression::default(), true);
        stream.set_dictionary(&dictionary()).map_err(|_| damaged("the dictionary was refused"))?;
        Ok(Encoder(stream))
    }

    pub fn encode(&mut self, headers: &Headers) -> io::Result<Vec<u8>> {
        let mut block = (headers.len() as u32).to_be_bytes().to_vec();
        for text in headers.iter().flat_map(|(name, value)| [name, value]) {
            block.extend_from_slice(&(text.len() as u32).to_be_bytes());
            block.extend_from_slice(text.as_bytes());
        }
        let mut packed = Vec::with_capacity(block.len() + 64);
        let mut rest = &block[..];
        loop {
            let before = self.0.total_in();
            packed.reserve(64);
            self.0.compress_vec(rest, &mut packed, FlushCompress::Sync).map_err(|_| damaged("cannot compress"))?;
            rest = &rest[(self.0.total_in() - before) as usize..];
            if rest.is_empty() && packed.len() < packed.capacity() {
                return Ok(packed);
            }
        }
    }
}

pub struct Decoder(Decompress);

impl Decoder {
    pub fn new() -> Decoder {
        Decoder(Decompress::new(true))
    }

    pub fn decode(&mut self, packed: &[u8]) -> io::Result<Headers> {
        parse(&self.inflate(packed)?)
    }

    fn inflate(&mut self, mut packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut block = Vec::with_capacity(1024);
        loop {
            let (read, wrote) = (self.0.total_in(), block.len());
            block.reserve(1024);
            match self.0.decompress_vec(packed, &mut block, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(damaged("the stream of headers ended")),
                Ok(_) => {}
                Err(problem) if problem.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| damaged("another dictionary"))?;
                }
                Err(_) => return Err(damaged("cannot decompress")),
            }
            packed = &packed[(self.0.total_in() - read) as usize..];
            if block.len() > BLOCK_LENGTH_MAX {
                return Err(damaged("too long"));
            }
            if packed.is_empty() && block.len() == wrote && self.0.total_in() == read {
                return Ok(block);
            }
        }
    }
}

fn parse(mut block: &[u8]) -> io::Result<Headers> {
    let number = |block: &mut &[u8]| -> io::Result<usize> {
        let (head, rest) = block.split_first_chunk::<4>().ok_or_else(|| damaged("cut off"))?;
        *block = rest;
        Ok(u32::from_be_bytes(*head) as usize)
    };
    let count = number(&mut block)?;
    let mut headers = Headers::new();
    for _ in 0..count {
        let mut texts = [String::new(), String::new()];
        for text in &mut texts {
            let length = number(&mut block)?;
            let (head, rest) = block.split_at_checked(length).ok_or_else(|| damaged("cut off"))?;
            *text = String::from_utf8_lossy(head).into_owned();
            block = rest;
        }
        let [name, value] = texts;
        headers.insert(name.to_lowercase(), value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_specifications() {
        assert_eq!(dictionary().len(), 1423);
        let mut stream = Compress::new(Compression::default(), true);
        assert_eq!(stream.set_dictionary(&dictionary()).unwrap(), 0xe3c6_a7c2);
    }

    #[test]
    fn blocks_survive_the_way_there_and_share_one_stream() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new());
        for port in ["80", "443", "80"] {
            let headers: Headers = [("streamtype", "data"), ("port", port)]
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .into();
            assert_eq!(decoder.decode(&encoder.encode(&headers).unwrap()).unwrap(), headers);
        }
    }
}
