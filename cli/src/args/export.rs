//! The words of taking everything along.

use clap::{Args, ValueEnum};

pub(crate) const EXAMPLES: &str = "All of a mesh is of one revision. YAML is what `heddle apply -f` takes; HCL is for the Terraform provider, with an `import` block for\n\
    each object, so that a plan finds what is there and changes nothing. Credentials of any kind cannot be read, and people are not\n\
    moved along: members, tokens, join tokens and proxies are not in it.\n\n\
    Examples:\n  heddle export > everything.yaml\n  heddle export prod -o hcl > prod.tf\n  heddle export prod --revision 1";

/// For whom it is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Documents for `heddle apply`
    #[default]
    Yaml,
    /// Resources for the Terraform provider
    Hcl,
}

#[derive(Args)]
pub(crate) struct Export {
    /// Which meshes [default: all that you may read]
    #[arg(value_name = "MESH")]
    pub(crate) meshes: Vec<String>,
    /// As it was at this revision, of one mesh [default: as it is]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) revision: Option<u64>,
    /// For whom
    #[arg(long, short, value_enum, default_value_t, value_name = "LANGUAGE")]
    pub(crate) output: Language,
}
