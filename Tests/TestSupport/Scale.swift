import Foundation

/// Whether tests run at length, as `make test-long` has them.
public let runsAtLength = ProcessInfo.processInfo.environment["BACKTRAIL_LONG"] == "1"

/// How many cases a test tries: a few in `make test`, many in `make test-long`.
public func cases(_ few: Int, long many: Int) -> Int { runsAtLength ? many : few }
