//! Questions asked together: what comes while others are on their way waits, and then goes as one.
//!
//! A server spends more on a statement than on a key, so that many followers that read a little each cost it a multiple of what they read. Alone, a
//! question goes at once.
//!
//! Guarantees: a question is part of a statement that is sent after it was asked, so that an answer is as new as the question. An error is told to all who
//! asked together. Whoever stops waiting keeps nobody from an answer.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::StoreError;

/// Statements on their way at a time: one that hangs, on a connection that is lost, does not keep all others.
const FLIGHTS: usize = 2;

/// Questions `Q`, answered by `A`.
pub(super) struct Gather<Q, A> {
    inner: Mutex<Inner<Q, A>>,
    /// Questions that go together, at most.
    most: usize,
}

type Asker<A> = oneshot::Sender<Result<A, StoreError>>;

struct Inner<Q, A> {
    waiting: VecDeque<(Q, Asker<A>)>,
    flights: usize,
}

impl<Q: Send + 'static, A: Send + 'static> Gather<Q, A> {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Gather { inner: Mutex::new(Inner { waiting: VecDeque::new(), flights: 0 }), most })
    }

    /// Asks, together with others. `all` answers several questions, in their order.
    pub(super) async fn ask<F>(
        self: &Arc<Self>,
        question: Q,
        all: impl Fn(Vec<Q>) -> F + Send + 'static,
    ) -> Result<A, StoreError>
    where
        F: Future<Output = Result<Vec<A>, StoreError>> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        if self.add(question, sender) {
            tokio::spawn(self.clone().fly(all));
        }
        let lost = |_| StoreError::Unavailable("the statement was given up".to_owned());
        answer.await.unwrap_or_else(|error| Err(lost(error)))
    }

    /// Whether one more may fly.
    fn add(&self, question: Q, asker: Asker<A>) -> bool {
        let mut inner = self.lock();
        inner.waiting.push_back((question, asker));
        let one_more = inner.flights < FLIGHTS;
        inner.flights += usize::from(one_more);
        one_more
    }

    /// Asks for those who wait until nobody does.
    async fn fly<F>(self: Arc<Self>, all: impl Fn(Vec<Q>) -> F)
    where
        F: Future<Output = Result<Vec<A>, StoreError>>,
    {
        while let Some((questions, askers)) = self.take() {
            // An asker who has gone meanwhile is no error.
            match all(questions).await {
                Ok(answers) => askers.into_iter().zip(answers).for_each(|(asker, answer)| {
                    let _ = asker.send(Ok(answer));
                }),
                Err(error) => askers.into_iter().for_each(|asker| {
                    let _ = asker.send(Err(error.clone()));
                }),
            }
        }
    }

    /// Those who go next; `None` if nobody waits: then the flight is over.
    fn take(&self) -> Option<(Vec<Q>, Vec<Asker<A>>)> {
        let mut inner = self.lock();
        inner.waiting.retain(|(_, asker)| !asker.is_closed());
        if inner.waiting.is_empty() {
            inner.flights -= 1;
            return None;
        }
        let count = inner.waiting.len().min(self.most);
        Some(inner.waiting.drain(..count).unzip())
    }

    fn lock(&self) -> MutexGuard<'_, Inner<Q, A>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::sleep;

    use super::*;

    /// Answers with the question and how many went together; notes each statement.
    fn asked(
        gather: &Arc<Gather<u32, (u32, usize)>>,
        question: u32,
        statements: &Arc<Mutex<Vec<Vec<u32>>>>,
    ) -> impl Future<Output = Result<(u32, usize), StoreError>> + use<> {
        let (gather, statements) = (gather.clone(), statements.clone());
        async move {
            let all = move |questions: Vec<u32>| {
                let statements = statements.clone();
                async move {
                    statements.lock().expect("not poisoned").push(questions.clone());
                    sleep(Duration::from_millis(10)).await;
                    if questions.contains(&13) {
                        return Err(StoreError::TooOld);
                    }
                    let count = questions.len();
                    Ok(questions.into_iter().map(|question| (question, count)).collect())
                }
            };
            gather.ask(question, all).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_while_others_fly_goes_together_and_each_gets_its_answer() {
        let (gather, statements) = (Gather::new(4), Arc::default());
        let mut asking = JoinSet::new();
        for question in 0..12 {
            asking.spawn(asked(&gather, question, &statements));
            sleep(Duration::from_micros(1)).await;
        }
        let mut answers: Vec<_> =
            asking.join_all().await.into_iter().map(|answer| answer.expect("answered")).collect();
        answers.sort_unstable();
        assert_eq!(
            answers.iter().map(|(question, _)| *question).collect::<Vec<_>>(),
            (0..12).collect::<Vec<_>>()
        );
        let statements = statements.lock().expect("not poisoned").clone();
        let lengths: Vec<usize> = statements.iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, 4, 4, 2], "{statements:?}");
        assert_eq!(gather.lock().flights, 0, "who is alone goes at once again");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_everybodys_and_the_next_one_is_asked_anew() {
        let (gather, statements) = (Gather::new(4), Arc::default());
        let mut asking = JoinSet::new();
        for question in [0, 1, 2, 13] {
            asking.spawn(asked(&gather, question, &statements));
            sleep(Duration::from_micros(1)).await;
        }
        let answers = asking.join_all().await;
        assert_eq!(answers.iter().filter(|answer| **answer == Err(StoreError::TooOld)).count(), 2);
        assert_eq!(asked(&gather, 5, &statements).await, Ok((5, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_away_is_not_asked_for_and_keeps_nobody() {
        let (gather, statements) = (Gather::new(4), Arc::default());
        let first = tokio::spawn(asked(&gather, 0, &statements));
        sleep(Duration::from_millis(1)).await;
        let second = tokio::spawn(asked(&gather, 1, &statements));
        sleep(Duration::from_millis(1)).await;
        let third = tokio::spawn(asked(&gather, 2, &statements));
        let fourth = tokio::spawn(asked(&gather, 3, &statements));
        sleep(Duration::from_millis(1)).await;
        first.abort();
        third.abort();
        assert_eq!(fourth.await.expect("no panic"), Ok((3, 1)));
        second.await.expect("no panic").expect("answered");
        assert_eq!(*statements.lock().expect("not poisoned"), [vec![0], vec![1], vec![3]]);
    }
}
