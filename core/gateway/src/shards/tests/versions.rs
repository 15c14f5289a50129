//! Endpoints on shards.

use std::collections::BTreeMap;

use super::*;
use crate::testing::shop::{
    SHOP, endpoint, mirroring, named, publish, version_route, version_with,
};

fn router(versions: &[(&str, f64)]) -> Arc<Router> {
    let router = Arc::new(Router::new());
    for (name, _) in versions {
        router.publish(version_route(name));
    }
    publish(&router, &endpoint(versions));
    router
}

/// Asks so often on a connection that stays; versions by how often they answered.
async fn asked(address: SocketAddr, times: usize) -> BTreeMap<String, usize> {
    let mut client = Client::connect(address).await;
    let mut seen = BTreeMap::new();
    for _ in 0..times {
        client.send(request("POST", SHOP, &[BEARER], "x")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        *seen.entry(named(&answer)).or_insert(0) += 1;
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_are_exact_over_all_shards_together() {
    let router = router(&[("blue", 80.0), ("green", 20.0)]);
    let mut node = Node::of(router, 3, ScoringOptions::default()).await;
    node.crew.set(3).await.unwrap();
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        callers.spawn(asked(node.address, 100));
    }
    let mut green = 0;
    while let Some(seen) = within(callers.join_next()).await {
        green += seen.expect("every answer")["green"];
    }
    assert!((199..=201).contains(&green), "{green}");
    node.end().await;
}

/// Notes in which thread it runs.
#[derive(Debug)]
struct Placed {
    schema: ScriptSchema,
    threads: mpsc::Sender<Option<String>>,
}

#[async_trait]
impl Replica for Placed {
    async fn score(&self, _: ScoreRequest) -> Result<ScoreReply, ScriptError> {
        let name = thread::current().name().map(str::to_owned);
        self.threads.send(name).unwrap();
        Ok(reply(StatusCode::OK, "seen"))
    }

    fn schema(&self) -> &ScriptSchema {
        &self.schema
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_never_runs_on_a_shards_thread() {
    let router = router(&[("blue", 100.0)]);
    let (threads, seen) = mpsc::channel();
    let shadow = Placed {
        schema: plain_schema(),
        threads,
    };
    let route = version_with("shadow", Arc::new(shadow));
    // It is known to be short, and still nobody's business on a shard.
    route.pace().learn(Duration::from_micros(1));
    router.publish(route);
    let record = endpoint(&[("blue", 100.0), ("shadow", 0.0)]);
    publish(&router, &mirroring(record, "shadow", 50.0));
    let node = Node::of(router, 1, ScoringOptions::default()).await;
    asked(node.address, 20).await;
    let mut names = Vec::new();
    until(|| {
        names.extend(seen.try_iter());
        names.len() == 10
    })
    .await;
    for name in names {
        let name = name.unwrap_or_default();
        assert!(!name.starts_with("lusk-shard"), "{name}");
    }
    node.end().await;
}
