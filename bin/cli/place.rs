//! Flags of a service's keys, and those of single compute types.

use clap::Args;

use super::overrides::Overrides;

/// Keys, and flags of single compute types.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Keys and place")]
pub(crate) struct PlaceArgs {
    /// The first key [default: a random one]
    #[arg(long, visible_alias = "kp", value_name = "KEY")]
    pub(crate) primary_key: Option<String>,
    /// The second key [default: a random one]
    #[arg(long, visible_alias = "ks", value_name = "KEY")]
    pub(crate) secondary_key: Option<String>,
    /// Namespace on a cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Port of a local service [default: a free one]
    #[arg(
        long,
        visible_alias = "po",
        value_name = "PORT",
        allow_hyphen_values = true
    )]
    pub(crate) port: Option<String>,
    /// Name of an endpoint's first version, for --compute-type aksendpoint [default: the
    /// endpoint's name]; example: --vn blue
    #[arg(long, visible_alias = "vn", value_name = "NAME")]
    pub(crate) version_name: Option<String>,
    /// Share of an endpoint's traffic that is this version's own, 0 to 100 with two
    /// decimals [default: 0]; the first version is the default and gets the rest besides
    #[arg(
        long,
        visible_alias = "tp",
        value_name = "PERCENT",
        allow_hyphen_values = true
    )]
    pub(crate) traffic_percentile: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "lo",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) location: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "dn",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) dns_name_label: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, visible_alias = "se", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), hide_short_help = true)]
    pub(crate) ssl_enabled: Option<bool>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "sp",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) ssl_cert_pem_file: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "sk",
        value_name = "FILE",
        hide_short_help = true
    )]
    pub(crate) ssl_key_pem_file: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(
        long,
        visible_alias = "sc",
        value_name = "NAME",
        hide_short_help = true
    )]
    pub(crate) ssl_cname: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) vnet_name: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) subnet_name: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "URL", hide_short_help = true)]
    pub(crate) vault_base_url: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub(crate) key_name: Option<String>,
    /// Accepted for ACI, without effect
    #[arg(long, value_name = "VERSION", hide_short_help = true)]
    pub(crate) key_version: Option<String>,
}

impl PlaceArgs {
    /// What these flags put in place of keys.
    pub(crate) fn put(&self, found: &mut Overrides) {
        found.text("keys.primaryKey", "--primary-key", &self.primary_key);
        found.text("keys.secondaryKey", "--secondary-key", &self.secondary_key);
        found.text("namespace", "--namespace", &self.namespace);
        found.number("port", "--port", &self.port);
        found.text("versionName", "--version-name", &self.version_name);
        found.number(
            "trafficPercentile",
            "--traffic-percentile",
            &self.traffic_percentile,
        );
        found.text("location", "--location", &self.location);
        found.text("dnsNameLabel", "--dns-name-label", &self.dns_name_label);
        found.flag("sslEnabled", "--ssl-enabled", self.ssl_enabled);
        found.text(
            "sslCertificate",
            "--ssl-cert-pem-file",
            &self.ssl_cert_pem_file,
        );
        found.text("sslKey", "--ssl-key-pem-file", &self.ssl_key_pem_file);
        found.text("cname", "--ssl-cname", &self.ssl_cname);
        found.text("vnetName", "--vnet-name", &self.vnet_name);
        found.text("subnetName", "--subnet-name", &self.subnet_name);
        found.text("vaultBaseUrl", "--vault-base-url", &self.vault_base_url);
        found.text("keyName", "--key-name", &self.key_name);
        found.text("keyVersion", "--key-version", &self.key_version);
    }
}
