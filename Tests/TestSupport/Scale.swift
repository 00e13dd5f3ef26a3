import Foundation

/// Whether tests run at length, as with `make test-long`.
public let runsAtLength = ProcessInfo.processInfo.environment["BACKTRAIL_LONG"] == "1"

/// The number of cases a test tries: few in `make test`, many in `make test-long`.
public func cases(_ few: Int, long many: Int) -> Int { runsAtLength ? many : few }
