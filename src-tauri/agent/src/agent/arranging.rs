//! The loop's part in what accounts are called, in which order they stand, and who used them last.

use super::{AccountId, Agent, Answer, Arc, HouseEvent, Message, Problem, Reply};
use crate::arranging;
use larder_core::arranging::{arranged, may_be_called};

impl Agent {
    /// Writes another label down, off the loop, and comes back with [`Message::Renamed`].
    pub(super) async fn rename(&mut self, account: &str, label: String, reply: Reply) {
        self.look_at_configuration().await;
        let id = match self.house.find(account) {
            // A sign-in of it is being written.
            Ok(known) if self.house.storing(&known.id) => Err(Problem::NotYet { account: account.to_owned() }),
            Ok(known) => may_be_called(&self.house, Some(&known.id), &label)
                .and_then(|()| self.configuration.name_by_id(&known.identity.label, &known.id))
                .map(|()| known.id.clone()),
            Err(problem) => Err(problem),
        };
        let id = match id {
            Ok(id) => id,
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        self.happen(HouseEvent::Rename { account: id.clone(), label: label.clone() }).await;
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        self.tasks.spawn(async move {
            let result = arranging::rename(&hands.database, id.clone(), label.clone()).await;
            let _ = outbox.send(Message::Renamed { account: id, label, result, reply }).await;
        });
    }

    pub(super) async fn renamed(
        &mut self,
        account: AccountId,
        label: String,
        result: Result<(), Problem>,
        reply: Reply,
    ) {
        self.happen(HouseEvent::Renamed { account, label, written: result.is_ok() }).await;
        let _ = reply.send(result.map(|()| Answer::Done));
    }

    /// Writes another order down, off the loop, and comes back with [`Message::Arranged`].
    pub(super) fn arrange(&mut self, account: &str, before: Option<&str>, reply: Reply) {
        let order = self.house.find(account).and_then(|known| {
            let before = before.map(|before| self.house.find(before)).transpose()?;
            Ok(arranged(&self.house, &known.id, before.map(|before| &before.id)))
        });
        match order {
            Ok(order) => {
                let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
                self.tasks.spawn(async move {
                    let result = arranging::arrange(&hands.database, order.clone()).await;
                    let _ = outbox.send(Message::Arranged { order, result, reply }).await;
                });
            }
            Err(problem) => {
                let _ = reply.send(Err(problem));
            }
        }
    }

    pub(super) async fn rearranged(&mut self, order: Vec<AccountId>, result: Result<(), Problem>, reply: Reply) {
        if result.is_ok() {
            self.happen(HouseEvent::Arranged(order)).await;
        }
        let _ = reply.send(result.map(|()| Answer::Done));
    }

    /// Looks into the audit, off the loop.
    pub(super) fn last_uses(&self, reply: Reply) {
        let audit = Arc::clone(&self.audit);
        tokio::spawn(async move {
            let _ = reply.send(audit.last_uses().await.map(|uses| Answer::LastUses { uses }));
        });
    }
}
