import ArgumentParser
import Backtrail
import Formats
import Foundation
import Replay
import Runs

/// The options for the slots that a rewind uses or a sweep measures.
struct RewindSlotOptions: ParsableArguments {
  @Flag(help: "Rewind with many numbers of slots, one after the other, and measure what each stores, recomputes and takes.")
  var sweep = false

  @Option(
    help: """
      States held in memory besides the start; 'all' for every one. With --sweep a list such as 1,4,16,all, used in memory and \
      on disk. (default: 16; with --sweep 1,2,3,5,8,16,32, … and all)
      """, transform: Self.slots)
  var slots: [Int]?

  @Option(
    help: "States held on disk; used where an update takes longer than writing and reading a state. (default: 0)",
    transform: Self.slots)
  var diskSlots: [Int]?

  @Option(
    help: """
      How parameters and buffers are kept in slots: float32, bfloat16 or float16; optimizer slots stay float32. 16 bits take \
      half the room, and make states approximate. With --sweep a list. (default: float32; with --sweep all three)
      """, transform: Self.precisions)
  var slotPrecision: [CheckpointPrecision]?

  @Option(
    help: """
      What disk slots are used for: the least 'time', by the measured times of an update, a write and a read, or the fewest \
      'updates'. (default: time; with --sweep updates)
      """)
  var least: RewindGoal?

  @Option(help: "Where --sweep keeps states: memory, disk or both, as memory,disk. (default: both)", transform: Self.tiers)
  var tiers: [SlotTier]?

  @Option(help: "How often --sweep measures each rewind, in turns; the fastest counts. (default: 1)")
  var rounds: Int?

  func validate() throws {
    if let rounds, !(1...1000).contains(rounds) {
      throw ValidationError("--rounds is \(rounds), but must be a whole number from 1 to 1000")
    }
    if sweep {
      guard diskSlots == nil else {
        throw ValidationError(
          "--disk-slots is for one rewind; --sweep measures the numbers in --slots on disk too, or with --tiers disk there alone")
      }
    } else {
      guard tiers == nil else {
        throw ValidationError("--tiers says where --sweep keeps states; add it, or say --slots and --disk-slots")
      }
      guard rounds == nil else { throw ValidationError("--rounds is for --sweep; add it, or leave --rounds out") }
      let counts = [
        ("--slots", slots?.count), ("--disk-slots", diskSlots?.count), ("--slot-precision", slotPrecision?.count),
      ]
      for (flag, count) in counts {
        guard count ?? 1 == 1 else {
          throw ValidationError("\(flag) names several; one rewind takes one. Add --sweep to measure them all")
        }
      }
    }
  }

  var ofOneRewind: RewindSlots {
    RewindSlots(
      memory: slots?.first ?? 16, disk: diskSlots?.first ?? 0, precision: slotPrecision?.first ?? .float32, least: least ?? .time)
  }

  var ofSweep: RewindSweep.Request {
    RewindSweep.Request(
      slots: slots, tiers: tiers ?? [.memory, .disk], precisions: slotPrecision ?? CheckpointPrecision.allCases,
      least: least ?? .updates, rounds: rounds ?? 1)
  }

  private static func slots(_ text: String) throws -> [Int] {
    try list(text) { $0 == "all" ? .max : Int($0).flatMap { $0 >= 0 ? $0 : nil } } form: {
      "'\($0)' is no number of slots; give whole numbers of 0 or more, or 'all', with commas between"
    }
  }

  private static func precisions(_ text: String) throws -> [CheckpointPrecision] {
    try list(text, CheckpointPrecision.init(name:)) {
      "'\($0)' is no precision; there are \(CheckpointPrecision.allCases.map(\.description).joined(separator: ", "))"
    }
  }

  private static func tiers(_ text: String) throws -> [SlotTier] {
    try list(text, { ["memory": .memory, "disk": .disk][$0] }) { "'\($0)' is no place for states; there are memory and disk" }
  }

  /// Reads a list of values separated by commas, without repetitions.
  private static func list<Value: Hashable>(
    _ text: String, _ read: (String) -> Value?, form: (String) -> String
  ) throws -> [Value] {
    var values: [Value] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let value = read(String(part)) else { throw ValidationError(form(String(part))) }
      guard !values.contains(value) else { throw ValidationError("'\(text)' names \(part) twice") }
      values.append(value)
    }
    return values
  }
}

extension RewindGoal: ExpressibleByArgument {}

/// The quantity on the vertical axis of a rewind's chart.
enum RewindChartQuantity: String, CaseIterable, ExpressibleByArgument {
  case loss, distance
  case seconds, updates

  static let ofStates: [Self] = [.loss, .distance]
  static let ofSweeps: [Self] = [.seconds, .updates]
}
