//! One question to a DNS server and its answer, as it came: nothing is cached, searched for or followed.
//!
//! Asked over UDP, several times within the limit; an answer that was cut is asked for again over TCP.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::NetError;
use crate::clock::Stopwatch;

/// How often each server is asked within the limit.
const TRIES: u32 = 3;
/// An answer over UDP.
const MOST_BYTES: usize = 4096;

/// An answer, and who gave it.
pub struct Reply {
    pub message: Message,
    pub server: SocketAddr,
}

/// The servers this machine asks.
pub async fn system_servers() -> Result<Vec<SocketAddr>, NetError> {
    let read = tokio::task::spawn_blocking(hickory_resolver::system_conf::read_system_conf).await;
    let (config, _) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => {
            let why = format!("could not read which servers this machine asks: {error}");
            return Err(NetError::Failed(why));
        }
        Err(error) => return Err(NetError::failed(error.to_string())),
    };
    let servers: Vec<SocketAddr> = config
        .name_servers()
        .iter()
        .filter_map(|server| {
            let port = server.connections.first()?.port;
            Some(SocketAddr::new(server.ip, port))
        })
        .collect();
    match servers.is_empty() {
        true => Err(NetError::failed("this machine asks no DNS server")),
        false => Ok(servers),
    }
}

/// Asks the servers one after the other until one answers; one that cannot (`SERVFAIL`, `REFUSED`) counts only if no
/// other can.
pub async fn ask(
    servers: &[SocketAddr],
    question: &Query,
    limit: Duration,
) -> Result<Reply, NetError> {
    let watch = Stopwatch::new();
    let mut unable = None;
    let mut last = NetError::failed("there is no DNS server to ask");
    let tries = servers.len() * TRIES as usize;
    for (index, server) in servers.iter().cycle().take(tries).enumerate() {
        let left = limit.saturating_sub(watch.elapsed());
        let share = left / u32::try_from(tries - index).unwrap_or(u32::MAX);
        // A cut answer may need all the time that is left, but for the share of a second server.
        match timeout(share, once(*server, question)).await {
            Ok(Ok(message)) => {
                let code = message.metadata.response_code;
                let reply = Reply {
                    message,
                    server: *server,
                };
                if !matches!(code, ResponseCode::ServFail | ResponseCode::Refused) {
                    return Ok(reply);
                }
                unable = Some(reply);
                if index + 1 >= servers.len() {
                    break;
                }
            }
            Ok(Err(error)) => {
                last = NetError::failed(format!("could not ask {server}: {error}"));
            }
            Err(_) => last = NetError::failed(format!("no answer from {server}")),
        }
    }
    unable.ok_or(last)
}

async fn once(server: SocketAddr, question: &Query) -> std::io::Result<Message> {
    let mut asked = Message::query();
    asked.metadata.recursion_desired = true;
    asked.add_query(question.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(1232); // what fits into a packet everywhere
    asked.set_edns(edns);
    let bytes = asked.to_vec().map_err(std::io::Error::other)?;
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = vec![0; MOST_BYTES];
    loop {
        let count = socket.recv(&mut buffer).await?;
        // What is no answer to this question may come from anybody.
        let Some(message) = answer(buffer.get(..count).unwrap_or_default(), &asked) else {
            continue;
        };
        return match message.metadata.truncation {
            true => over_tcp(server, &bytes, &asked).await,
            false => Ok(message),
        };
    }
}

async fn over_tcp(server: SocketAddr, bytes: &[u8], asked: &Message) -> std::io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(std::io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    answer(&buffer, asked)
        .ok_or_else(|| std::io::Error::other("what came over TCP is no answer to the question"))
}

/// Reads an answer to this very question.
fn answer(bytes: &[u8], asked: &Message) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let fits = message.metadata.message_type == MessageType::Response
        && message.metadata.id == asked.metadata.id
        && message.queries == asked.queries;
    fits.then_some(message)
}

/// The name of a response code, as everybody writes it.
pub fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("code {}", u16::from(other)),
    }
}
