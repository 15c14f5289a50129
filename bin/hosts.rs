//! Which host starts a replica: the one in this process, or the one that reaches
//! out to servers that run elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use lusk_cluster::RemoteHost;
use lusk_contract::{Progress, Replica, ReplicaHost, ReplicaPlan, Revision, StartError};
use lusk_domain::RuntimeKind;
use lusk_replica::LocalHost;

/// Both hosts.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// For scripts and models.
    pub(crate) local: Arc<LocalHost>,
    /// For outside replicas.
    pub(crate) remote: RemoteHost,
}

impl Hosts {
    fn of(&self, revision: &Revision) -> &dyn ReplicaHost {
        match revision.runtime {
            RuntimeKind::Remote => &self.remote,
            _ => &*self.local,
        }
    }
}

#[async_trait]
impl ReplicaHost for Hosts {
    async fn prepare(
        &self,
        revision: &Arc<Revision>,
        progress: &dyn Progress,
    ) -> Result<(), StartError> {
        self.of(revision).prepare(revision, progress).await
    }

    async fn start(&self, plan: ReplicaPlan) -> Result<Arc<dyn Replica>, StartError> {
        self.of(&plan.revision).start(plan).await
    }
}
