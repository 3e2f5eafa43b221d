//! `docent token create|list|revoke`

use clap::{Args, Subcommand};

use super::context::Context;
use super::role::RoleArgument;
use super::table::{Cell, Table, text as texts, word};
use super::text::{Style, moment, plain};
use crate::error::{Exit, Fatal};
use crate::http::Target;
use crate::http::wire::{NewToken, Revoked, TokenList, TokenMade};

/// The verbs of `token`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a token and print it, only this once
    Create {
        /// The token's name, which the list, the audit log and `revoke` use
        name: String,
        /// What the token allows: read; or also publish, replay, drop, restart and pause
        #[arg(long)]
        role: RoleArgument,
        /// Limit it to this collection; may be given several times
        #[arg(long = "collection", value_name = "C")]
        collections: Vec<String>,
        /// How long the token is valid, for example 30d; without this, until it is revoked
        #[arg(long, value_name = "AGE")]
        expires: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token and end its open requests
    Revoke {
        /// The token's name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Makes, lists or revokes.
pub(super) fn run(context: &mut Context, arguments: Arguments) -> Result<Exit, Fatal> {
    context.here_only("token")?;
    match arguments.verb {
        Verb::Create {
            name,
            role,
            collections,
            expires,
            json,
        } => {
            let role = role.into();
            let wanted = NewToken {
                name,
                role,
                collections,
                expires,
            };
            create(context, &wanted, json)
        }
        Verb::List { json } => list(context, json),
        Verb::Revoke { name, json } => revoke(context, &name, json),
    }
}

fn create(context: &mut Context, wanted: &NewToken, json: bool) -> Result<Exit, Fatal> {
    let made: TokenMade = context.send(&Target::new("/tokens"), wanted)?;
    if json {
        context.out.json(&made)?;
    } else {
        context.out.line(&made.token)?;
        context.out.note("keep it: it is not shown again");
    }
    Ok(Exit::Clean)
}

fn list(context: &mut Context, json: bool) -> Result<Exit, Fatal> {
    let list: TokenList = context.get(&Target::new("/tokens"))?;
    let text = |style| render(&list, style);
    context.out.answer(json, &list, text)?;
    Ok(Exit::Clean)
}

fn render(list: &TokenList, style: Style) -> String {
    if list.tokens.is_empty() {
        return "no tokens yet\n".to_owned();
    }
    let mut table = Table::new(&[
        word("TOKEN"),
        word("ROLE"),
        texts("COLLECTIONS"),
        word("CREATED"),
        word("EXPIRES"),
    ]);
    for token in &list.tokens {
        let collections = match &token.collections {
            Some(names) => names.join(", ").into(),
            None => Cell::painted("all", Style::dim),
        };
        let expires = match (&token.expires_at, token.expired) {
            (Some(_), true) => Cell::painted("expired", Style::doubtful),
            (Some(at), false) => moment(at).into(),
            (None, _) => Cell::painted("never", Style::dim),
        };
        table.row(vec![
            (&token.name).into(),
            token.role.as_str().into(),
            collections,
            moment(&token.created_at).into(),
            expires,
        ]);
    }
    table.render(style)
}

fn revoke(context: &mut Context, name: &str, json: bool) -> Result<Exit, Fatal> {
    let target = Target::new("/tokens").segment(name).segment("revoke");
    let revoked: Revoked = context.post(&target)?;
    let text = |_| format!("the token {} is revoked\n", plain(&revoked.name));
    context.out.answer(json, &revoked, text)?;
    Ok(Exit::Clean)
}
