import Foundation
import TestSupport
import Testing

@Suite struct TheoryCommandTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func theory(_ arguments: String) throws -> Command { try Command.shell("$B theory \(arguments)", in: folder.path) }

  @Test(arguments: ["ar1", "bernoulli", "least-squares", "logistic", "non-convex", "orders"])
  func examplesAgreeWithTheory(example: String) throws {
    let told = try theory("\(example) --json")
    #expect(told.status == 0, "\(told.errors)")
    #expect(told.json["example"] as? String == example && told.json["agrees"] as? Bool == true)
    let checks = try #require(told.json["checks"] as? [[String: Any]])
    #expect(checks.allSatisfy { $0["predicted"] is Double && $0["measured"] is Double && $0["agrees"] as? Bool == true })
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  /// A wrong prediction ends the command with code 1, after the table that shows it.
  @Test func aWrongPredictionExitsWithOne() throws {
    let right = try theory("ar1")
    #expect(right.status == 0 && !right.output.contains("NO") && right.output.contains("variance"), "\(right.errors)")
    let wrong = try theory("ar1 --predict variance=110%")
    #expect(wrong.status == 1 && wrong.errors.contains("backward-variance, forward-variance"), "\(wrong.errors)")
    let rows = wrong.output.split(separator: "\n").filter { $0.contains("(yours)") }
    #expect(rows.count == 2 && rows.allSatisfy { $0.hasSuffix("NO") }, "\(wrong.output)")
    let json = try theory("ar1 --predict backward-variance=0.06 --predict mean=1 --json")
    #expect(json.status == 1 && json.json["agrees"] as? Bool == false)
    #expect(try theory("ar1 --predict variance=0.0526316").status == 0)
  }

  @Test func ordersShowTheirDecadesAndSlopes() throws {
    let right = try theory("orders")
    #expect(right.status == 0, "\(right.errors)")
    for kind in ["permuted", "paired"] {
      for loss in ["least-squares", "logistic"] { #expect(right.output.contains("\(kind), \(loss): η from "), "\(right.output)") }
    }
    let wrong = try theory("orders --predict permuted-slope=2.1")
    #expect(wrong.status == 1 && wrong.errors.contains("permuted-slope:least-squares, permuted-slope:logistic"), "\(wrong.errors)")
  }

  @Test func badArgumentsAreRefused() throws {
    for (arguments, status) in [
      ("ar2", 64), ("ar1 --predict variance", 64), ("ar1 --predict skew=1", 64), ("ar1 --learning-rate 1", 78), ("ar1 --steps 3", 78),
      ("ar1 --seeds 5", 64), ("ar1 --confidence 2", 64), ("orders --learning-rate 0.1", 64), ("orders --steps 9", 78),
    ] as [(String, Int32)] {
      let refused = try theory(arguments)
      #expect(refused.status == status && refused.output.isEmpty, "\(arguments): \(refused.errors)")
    }
    #expect(try theory("ar1 --learning-rate 1").errors.contains("--learning-rate is 1"))
  }
}
