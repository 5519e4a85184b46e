//! A query at a server of PostgreSQL: one statement, in a transaction that only reads and is rolled back.
//!
//! The connection goes to an address that was judged, and is this look's alone. The server itself gives up when the time
//! is over (`statement_timeout`), so nothing runs on after a look that nobody waits for any more. What a function does
//! that a SELECT calls, a read-only transaction does not always hinder: the rights of the user do.

use std::{pin::pin, time::Duration};

use futures::future::{Either, select};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_postgres::{Client, Config, Connection, NoTls, config::SslMode, types::ToSql};
use url::Url;

use super::{
    cell::{Arg, Cell},
    table::{Bounds, Table, too_large},
    wire::{Bounded, Secured, is_too_large},
};
use crate::{
    clock::Stopwatch,
    model::{
        node::{Node, Tree, decode},
        text::Text,
    },
    net::{
        NetError, Peer, dial,
        tls::{self, Trust},
    },
    permission::Permission,
    probe::{
        Eyes, ProbeError, Workshop,
        path::Filled,
        remote::{self, NOT_CONFIGURED, Whom},
        request,
    },
    script::{Scope, Unfit, UrlTemplate},
};

/// Where PostgreSQL listens by itself.
const PORT: u16 = 5432;
/// Bytes besides rows: greetings, descriptions of types, certificates.
const BESIDES: u64 = 256 << 10;
/// How long is waited for the end of a connection that is not needed any more.
const FAREWELL: Duration = Duration::from_millis(200);

/// How a rule names a server.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema is what is needed")]
pub enum Form {
    /// `postgres://user@host:5432/database`. What a `${…}` gives can be the database; the whole may be one `${…}`.
    Url(Text),
    Parts(Parts),
}

/// A server and who asks it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// A name or an address.
    host: Text,
    /// By default 5432.
    port: Option<Text>,
    user: Text,
    /// By default the name of the user.
    database: Option<Text>,
}

/// What a rule says besides.
pub struct More<'a> {
    pub password: Option<&'a Text>,
    pub tls: Option<bool>,
    pub ca: Option<&'a Text>,
    pub verify: bool,
}

/// A server that a rule asks.
pub struct Server {
    at: At,
    password: Option<Filled>,
    tls: Option<bool>,
    ca: Option<Filled>,
    verify: bool,
}

enum At {
    Url(UrlTemplate),
    Parts {
        whom: Whom,
        user: Filled,
        database: Option<Filled>,
    },
}

#[derive(Debug, PartialEq)]
struct Address {
    peer: Peer,
    user: String,
    database: String,
}

/// Reads `postgres://user@host:5432/database`. What is wrong is told without it: it may hold a secret.
fn address(text: &str) -> Result<Address, String> {
    let url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("it is no postgres:// URL".to_owned());
    }
    if url.password().is_some() {
        return Err("a URL with a password is shown to many: use `password`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL ends with the database: settings stand beside it".to_owned());
    }
    let decoded = |part: &str| {
        let decoded = percent_decode_str(part).decode_utf8();
        decoded.map(String::from).map_err(|_| "it is not UTF-8")
    };
    let host = url.host_str().unwrap_or_default();
    let peer = Peer::new(host, url.port().unwrap_or(PORT))?;
    let user = decoded(url.username())?;
    if user.is_empty() {
        return Err("it names no user: postgres://user@host:5432/database".to_owned());
    }
    let database = match url.path().trim_start_matches('/') {
        "" => user.clone(),
        path => decoded(path)?,
    };
    Ok(Address {
        peer,
        user,
        database,
    })
}

impl Server {
    pub fn build(node: &Node, more: More<'_>, workshop: &mut Workshop<'_>) -> Option<Server> {
        let at = match &node.tree {
            Tree::Map(_) => {
                let parts: Parts = decode(node, workshop.mistakes)?;
                let whom = Whom::build(&parts.host, parts.port.as_ref(), PORT, workshop);
                let user = Filled::build(&parts.user, workshop);
                let database = parts
                    .database
                    .as_ref()
                    .map(|text| Filled::build(text, workshop));
                At::Parts {
                    whom: whom?,
                    user: user?,
                    database: match database {
                        Some(database) => Some(database?),
                        None => None,
                    },
                }
            }
            _ => {
                let text: Text = decode(node, workshop.mistakes)?;
                let url = remote::url(&text, workshop, |start| Ok(address(start)?.peer));
                At::Url(url?)
            }
        };
        let filled = |text: Option<&Text>, workshop: &mut Workshop<'_>| match text {
            Some(text) => Filled::build(text, workshop).map(Some),
            None => Some(None),
        };
        let password = filled(more.password, workshop);
        let ca = match more.ca {
            Some(text) => Filled::path(text, workshop).map(Some),
            None => Some(None),
        };
        Some(Server {
            at,
            password: password?,
            tls: more.tls,
            ca: ca?,
            verify: more.verify,
        })
    }

    /// The server with everything filled in; the inner error says why there is none.
    pub fn door(&self, eyes: &Eyes) -> Result<Result<Door, String>, ProbeError> {
        let not_configured = || Ok(Err(NOT_CONFIGURED.to_owned()));
        let address = match &self.at {
            At::Url(url) => {
                let scope = Scope::new(&eyes.ground);
                match url.render(&eyes.engine, &scope).map_err(request::fault)? {
                    Ok(text) => address(&text),
                    Err(Unfit::NotConfigured) => return not_configured(),
                    Err(Unfit::Wrong(why)) => Err(why),
                }
            }
            At::Parts {
                whom,
                user,
                database,
            } => {
                let database = match database {
                    Some(database) => database.given(eyes)?.map(Some),
                    None => Some(None),
                };
                let (Some(peer), Some(user), Some(database)) =
                    (whom.at(eyes)?, user.given(eyes)?, database)
                else {
                    return not_configured();
                };
                peer.map(|peer| Address {
                    peer,
                    database: database.as_ref().unwrap_or(&user).clone().into_owned(),
                    user: user.into_owned(),
                })
            }
        };
        let address = match address {
            Ok(address) => address,
            Err(why) => return Ok(Err(why)),
        };
        let password = match &self.password {
            Some(password) => match password.given(eyes)? {
                Some(password) => Some(password.into_owned()),
                None => return not_configured(),
            },
            None => None,
        };
        if [&address.user, &address.database]
            .iter()
            .any(|it| it.contains('\0'))
        {
            return Ok(Err("a name holds a NUL".to_owned()));
        }
        Ok(Ok(Door {
            address,
            password,
            tls: self.tls,
            trust: Trust {
                roots: remote::roots(self.ca.as_ref(), eyes)?,
                verify: self.verify,
                at: eyes.ground.now,
            },
        }))
    }
}

/// Where to ask, and as whom.
pub struct Door {
    address: Address,
    password: Option<String>,
    /// `None`: unless the server is on this machine.
    tls: Option<bool>,
    trust: Trust,
}

/// A query, everything filled in.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub query: &'a str,
    pub args: &'a [Value],
    pub bounds: Bounds,
    pub limit: Duration,
}

/// Why there are no rows.
#[derive(Debug)]
pub enum Failure {
    /// The server cannot be asked, or cannot answer now.
    Net(NetError),
    /// The query is wrong.
    Query(String),
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Failure {
        Failure::Net(error)
    }
}

impl Door {
    /// Asks, within its time.
    pub async fn ask(&self, asked: Asked<'_>, permission: &Permission) -> Result<Table, Failure> {
        let talk = async {
            match self.talk(asked, permission).await {
                Ok(table) => Ok(Ok(table)),
                Err(Failure::Query(why)) => Ok(Err(Failure::Query(why))),
                Err(Failure::Net(error)) => Err(error),
            }
        };
        dial::within(asked.limit, &self.address.peer, talk).await?
    }

    async fn talk(&self, asked: Asked<'_>, permission: &Permission) -> Result<Table, Failure> {
        let watch = Stopwatch::new();
        let peer = &self.address.peer;
        let addresses = peer.addresses(permission).await?;
        let left = asked.limit.saturating_sub(watch.elapsed());
        let stream = dial::connect(&addresses, left).await?;
        let is_here = stream
            .peer_addr()
            .is_ok_and(|it| it.ip().to_canonical().is_loopback());
        let stream = Bounded {
            stream,
            left: asked.bounds.size.0.saturating_add(BESIDES),
        };
        let mut config = Config::new();
        config
            .user(&self.address.user)
            .dbname(&self.address.database)
            .application_name("homeostat");
        if let Some(password) = &self.password {
            config.password(password);
        }
        let failed = |error| self.failed(&error, asked.bounds);
        if self.tls.unwrap_or(!is_here) {
            config.ssl_mode(SslMode::Require);
            let handshake = self.trust.handshake(&["postgresql"]).await?;
            let witness = handshake.witness.clone();
            let name = tls::server_name(&peer.host)?;
            let connected = config.connect_raw(stream, Secured { name, handshake });
            let (client, connection) = connected.await.map_err(|error| {
                let distrusted = witness.certificate().filter(|_| self.trust.verify);
                match distrusted.and_then(|it| it.wrong) {
                    Some(wrong) => {
                        let why = format!("the certificate of {peer} is not trusted: {wrong}");
                        Failure::Net(NetError::Failed(why))
                    }
                    None => failed(error),
                }
            })?;
            self.together(client, connection, asked, watch).await
        } else {
            config.ssl_mode(SslMode::Disable);
            let connected = config.connect_raw(stream, NoTls).await;
            let (client, connection) = connected.map_err(failed)?;
            self.together(client, connection, asked, watch).await
        }
    }

    /// Asks over an open connection, which has to be driven meanwhile.
    async fn together<T: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut client: Client,
        connection: Connection<Bounded, T>,
        asked: Asked<'_>,
        watch: Stopwatch,
    ) -> Result<Table, Failure> {
        let asking = pin!(async move {
            let left = asked.limit.saturating_sub(watch.elapsed());
            let answer = self.statement(&mut client, asked, left).await;
            drop(client); // which is what ends the connection
            answer
        });
        match select(asking, pin!(connection)).await {
            Either::Left((answer, connection)) => {
                // whether the server heard the farewell makes no difference
                let _ = timeout(FAREWELL, connection).await;
                answer
            }
            Either::Right((Err(error), _)) => Err(self.unanswered(&error, asked.bounds)),
            Either::Right((Ok(()), asking)) => asking.await,
        }
    }

    async fn statement(
        &self,
        client: &mut Client,
        asked: Asked<'_>,
        left: Duration,
    ) -> Result<Table, Failure> {
        let failed = |error: tokio_postgres::Error| self.unanswered(&error, asked.bounds);
        // a little less, so that its answer, that there is none, still comes
        let most = left.mul_f64(0.9).as_millis().max(1);
        let transaction = client.build_transaction().read_only(true).start();
        let transaction = transaction.await.map_err(failed)?;
        let limits = format!(
            "SET LOCAL statement_timeout = {most}; SET LOCAL idle_in_transaction_session_timeout = {most}"
        );
        transaction.batch_execute(&limits).await.map_err(failed)?;
        let statement = transaction.prepare(asked.query).await.map_err(failed)?;
        let (wanted, given) = (statement.params().len(), asked.args.len());
        if wanted != given {
            return Err(Failure::Query(format!(
                "the query takes {wanted} `args`, not {given}"
            )));
        }
        let columns = statement.columns().iter().map(|it| it.name().to_owned());
        let mut table = Table::new(columns.collect(), asked.bounds).map_err(Failure::Query)?;
        let args: Vec<Arg<'_>> = asked.args.iter().map(Arg).collect();
        let args: Vec<&(dyn ToSql + Sync)> = args.iter().map(|it| it as _).collect();
        let portal = transaction.bind(&statement, &args).await.map_err(failed)?;
        let most = i32::try_from(asked.bounds.rows).unwrap_or(i32::MAX - 1) + 1;
        let rows = transaction.query_portal(&portal, most).await;
        for row in rows.map_err(failed)? {
            if !table.has_room() {
                break;
            }
            let values = (0..row.len()).map(|index| match row.try_get(index) {
                Ok(Cell(value)) => Ok(value),
                Err(error) => {
                    let name = row.columns().get(index).map_or("?", |it| it.name());
                    let why = deepest(&error);
                    Err(Failure::Query(format!("the column `{name}`: {why}")))
                }
            });
            let values = values.collect::<Result<_, _>>()?;
            table.push(values).map_err(Failure::Query)?;
        }
        // it has done nothing that could be undone: how it ends makes no difference
        let _ = transaction.rollback().await;
        Ok(table)
    }

    /// Why there is no connection.
    fn failed(&self, error: &tokio_postgres::Error, bounds: Bounds) -> Failure {
        match self.unanswered(error, bounds) {
            Failure::Query(why) => Failure::Net(NetError::Failed(why)),
            failure => failure,
        }
    }

    /// Why a statement was not answered: is it the statement, or the state of the server?
    fn unanswered(&self, error: &tokio_postgres::Error, bounds: Bounds) -> Failure {
        let peer = &self.address.peer;
        if is_too_large(error) {
            return Failure::Query(too_large(bounds.size));
        }
        let Some(said) = error.as_db_error() else {
            let why = format!("no answer from {peer}: {}", deepest(error));
            return Failure::Net(NetError::Failed(why));
        };
        let code = said.code().code();
        let why = format!("{peer} says: {} ({code})", said.message());
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        let of_the_server = ["08", "28", "3D", "40", "53", "55", "57", "58", "F0", "XX"];
        match of_the_server.iter().any(|class| code.starts_with(class)) {
            true => Failure::Net(NetError::Failed(why)),
            false => Failure::Query(why),
        }
    }
}

/// The cause of all causes.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

#[cfg(test)]
mod tests;
