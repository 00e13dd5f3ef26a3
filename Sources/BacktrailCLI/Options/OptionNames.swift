import ArgumentParser
import Backtrail
import Runs

/// Replaces names of settings in a message by flags. The library, which knows no command line, writes `memory-budget`
/// in backquotes for what is `--memory-budget` here. Other words in backquotes stay unchanged.
func withFlags(_ message: String) -> String {
  guard message.contains("`") else { return message }
  let flags = BacktrailCommand.flags
  return message.replacing(/`([a-z]+(?:-[a-z]+)*)`/) { match in
    flags.contains("--\(match.1)") ? "--\(match.1)" : String(match.0)
  }
}

extension BacktrailCommand {
  /// The flags of all commands, taken from their help.
  fileprivate static var flags: Set<String> {
    func flags(of command: any ParsableCommand.Type) -> Set<String> {
      let own = command.helpMessage(includeHidden: true).matches(of: /--[a-z]+(?:-[a-z]+)*/).map { String($0.0) }
      return command.configuration.subcommands.reduce(into: Set(own)) { $0.formUnion(flags(of: $1)) }
    }
    return flags(of: self)
  }
}
