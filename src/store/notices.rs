//! Incidents, and notices on their way: what a restart goes on with, and what people ask for.

use rusqlite::{Connection, params};

use crate::model::{
    incident::{Incident, IncidentId},
    notice::{Delivery, Told},
};

use super::{
    Store, StoreError,
    load::{POST, parse},
    rows::{put_order, text},
    schema::broken,
};

impl Store {
    pub(super) fn open_incidents(&self) -> Result<Vec<Incident>, StoreError> {
        self.rows_of(
            "SELECT body FROM incident WHERE ended IS NULL ORDER BY id",
            [],
            "load the incidents",
        )
    }

    /// Those that wait; and of incidents that are open, those by which their receivers know them.
    pub(super) fn waiting_deliveries(&self) -> Result<Vec<Delivery>, StoreError> {
        self.rows_of(
            "SELECT body FROM delivery WHERE state = 'waiting' OR (incident IN \
             (SELECT id FROM incident WHERE ended IS NULL) AND json_extract(body, '$.thread') IS NOT NULL) \
             ORDER BY notice, channel",
            [],
            "load the notices that wait",
        )
    }

    /// Incidents, newest first, at most so many; only those that are open, if that is asked.
    pub fn incidents(&self, open: bool, limit: usize) -> Result<Vec<Incident>, StoreError> {
        let query = match open {
            true => "SELECT body FROM incident WHERE ended IS NULL ORDER BY id DESC LIMIT ?1",
            false => "SELECT body FROM incident ORDER BY id DESC LIMIT ?1",
        };
        self.rows_of(query, [limit as i64], "read the incidents")
    }

    /// Everything that was sent, or is to be, of an incident, in the order of its notices.
    pub fn deliveries_of(&self, incident: IncidentId) -> Result<Vec<Delivery>, StoreError> {
        self.rows_of(
            "SELECT body FROM delivery WHERE incident = ?1 ORDER BY notice, channel",
            [incident],
            "read the notices of an incident",
        )
    }

    /// Notices on their way or arrived, newest first, at most so many.
    pub fn deliveries(&self, limit: usize) -> Result<Vec<Delivery>, StoreError> {
        self.rows_of(
            "SELECT body FROM delivery ORDER BY notice DESC, channel LIMIT ?1",
            [limit as i64],
            "read the notices",
        )
    }

    fn rows_of<T: serde::de::DeserializeOwned>(
        &self,
        query: &str,
        arguments: impl rusqlite::Params,
        doing: &'static str,
    ) -> Result<Vec<T>, StoreError> {
        let mut query = self.conn.prepare_cached(query).map_err(broken(doing))?;
        let rows = query
            .query_map(arguments, |row| row.get::<_, String>(0))
            .map_err(broken(doing))?;
        rows.map(|body| parse(&body.map_err(broken(doing))?))
            .collect()
    }
}

pub(super) fn put_told(conn: &Connection, told: &Told) -> Result<(), StoreError> {
    for incident in &told.incidents {
        let ended = incident.ended.as_ref().map(|ended| ended.at.0);
        conn.prepare_cached(
            "INSERT OR REPLACE INTO incident (id, opened, ended, body) VALUES (?1, ?2, ?3, ?4)",
        )
        .and_then(|mut query| {
            query.execute(params![
                incident.id,
                incident.opened.0,
                ended,
                text(incident)?
            ])
        })
        .map_err(StoreError::sqlite("write an incident"))?;
    }
    for delivery in &told.deliveries {
        put_delivery(conn, delivery)?;
    }
    match &told.post {
        Some(post) => put_order(conn, POST, Some(post)),
        None => Ok(()),
    }
}

pub(super) fn put_delivery(conn: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let notice = &delivery.notice;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO delivery (notice, channel, at, incident, state, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut query| {
        query.execute(params![
            notice.id,
            delivery.channel,
            notice.at.0,
            notice.incident,
            delivery.state.word(),
            text(delivery)?,
        ])
    })
    .map(drop)
    .map_err(StoreError::sqlite("write a notice"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{
        model::{
            attempt::Row,
            incident::{Ended, Ending},
            moment::Moment,
            notice::{DeliveryState, Notice, NoticeKind, Post},
            status::Status,
        },
        store::Durability,
    };

    fn incident(id: u64, ended: Option<i64>) -> Incident {
        Incident {
            id,
            check: Some("a".into()),
            opened: Moment(1),
            ended: ended.map(|at| Ended {
                at: Moment(at),
                how: Ending::Recovered,
            }),
            status: Status::Critical,
            peak: Status::Critical,
            message: "bad".to_owned(),
            members: BTreeMap::new(),
            acknowledged: None,
            escalated: false,
            why: None,
            repair: None,
            listeners: BTreeMap::new(),
        }
    }

    fn delivery(id: u64, incident: u64, state: DeliveryState, thread: Option<&str>) -> Delivery {
        let notice = Notice {
            id,
            notifier: "ops".into(),
            incident: Some(incident),
            at: Moment(id as i64),
            kind: NoticeKind::Opened,
            status: Status::Critical,
            before: None,
            check: Some("a".into()),
            checks: vec!["a".into()],
            title: "CRITICAL a".to_owned(),
            text: "bad".to_owned(),
            opened: Some(Moment(1)),
            closed: None,
            due: Moment(id as i64),
            paged: false,
        };
        Delivery {
            state,
            thread: thread.map(str::to_owned),
            ..Delivery::new(Arc::new(notice), "webhook")
        }
    }

    #[test]
    fn what_was_told_and_what_waits_is_there_after_a_restart() {
        use DeliveryState::{Sent, Waiting};
        let root = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(root.path(), Moment(0)).unwrap();
        let told = Told {
            incidents: vec![incident(1, Some(9)), incident(2, None)],
            deliveries: vec![
                delivery(1, 1, Sent, Some("gone")),
                delivery(2, 2, Sent, Some("m1")),
                delivery(3, 2, Waiting, None),
                delivery(4, 2, Sent, None),
            ],
            post: Some(Post {
                next_incident: 2,
                next_notice: 4,
                ..Post::default()
            }),
        };
        let rows = [Row::Told(Box::new(told.clone()))];
        store.write(&rows, Durability::Durable).unwrap();
        let saved = store.load().unwrap();
        assert_eq!(saved.incidents, [incident(2, None)]);
        let ids: Vec<u64> = saved.deliveries.iter().map(|it| it.notice.id).collect();
        assert_eq!(ids, [2, 3], "what waits, and what is answered to");
        assert_eq!(saved.post, told.post);
        // A later state of a row replaces it.
        let sent = Row::Delivery(Box::new(delivery(3, 2, Sent, None)));
        store.write(&[sent], Durability::Lazy).unwrap();
        assert_eq!(store.load().unwrap().deliveries.len(), 1);
        let all = store.incidents(false, 10).unwrap();
        assert_eq!(all.iter().map(|it| it.id).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(store.incidents(true, 10).unwrap().len(), 1);
        assert_eq!(store.deliveries_of(2).unwrap().len(), 3);
        assert_eq!(store.deliveries(2).unwrap()[0].notice.id, 4);
    }

    #[test]
    fn what_is_over_is_forgotten_with_the_history_and_what_waits_is_not() {
        use DeliveryState::{Sent, Waiting};
        let root = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(root.path(), Moment(0)).unwrap();
        let told = Told {
            incidents: vec![incident(1, Some(9)), incident(2, None)],
            deliveries: vec![delivery(1, 1, Sent, None), delivery(2, 2, Waiting, None)],
            post: None,
        };
        store
            .write(&[Row::Told(Box::new(told))], Durability::Durable)
            .unwrap();
        let later = Moment(400 * 86_400_000);
        store.prune(later, &Default::default()).unwrap();
        assert_eq!(store.incidents(false, 10).unwrap(), [incident(2, None)]);
        assert_eq!(store.deliveries(10).unwrap().len(), 1);
    }
}
