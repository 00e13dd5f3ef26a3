import Foundation

/// How many cases a test tries: a few in `make test`, many in `make test-long`.
func cases(_ few: Int, long many: Int) -> Int {
  ProcessInfo.processInfo.environment["BACKTRAIL_LONG"] == nil ? few : many
}
