import Formats
import GRDB
import Replay
import Tensors

/// The content of a row in one of a run's tables. A row is checked once, when it is read: every value of a conforming
/// type is one that a run can have written.
protocol StoredRow: Sendable {
  static var table: String { get }
  /// The columns of the primary key, which name a row in messages.
  static var key: [String] { get }

  /// - Throws: `BrokenRow` if a column holds a value that no run writes there.
  init(_ columns: RowColumns) throws(BrokenRow)

  /// All columns except the seal, by name.
  var columns: [String: DatabaseValue] { get throws }
}

/// A row with a digest of its values that is checked whenever it is read. SQLite's own checks find a broken page, but
/// not a changed number.
///
/// The digest covers the table's name and then, in the order of their names, each column's name, kind and value as
/// SQLite stores them. So it does not depend on how a library writes a value as JSON.
struct Sealed<Content: StoredRow>: FetchableRecord, PersistableRecord {
  let content: Content

  static var databaseTableName: String { Content.table }

  /// The column that holds the digest in every sealed table.
  static var seal: String { "seal" }

  init(_ content: Content) {
    self.content = content
  }

  /// - Throws: `BrokenRow`, naming the row.
  init(row: Row) throws { try self.init(row: row, metrics: nil) }

  /// - Parameter metrics: The metrics of the run, which an observation's values belong to; nil while they are not
  ///   known.
  init(row: Row, metrics: [Metric]?) throws {
    var values = row.valuesByName
    let seal = values.removeValue(forKey: Self.seal).flatMap { String.fromDatabaseValue($0) }
    do throws(BrokenRow) {
      guard RowSeal.digest(table: Content.table, values).description == seal else {
        throw BrokenRow("its values do not fit its seal")
      }
      content = try Content(RowColumns(values, metrics: metrics))
    } catch {
      throw BrokenRow("the \(Content.table) row\(RowColumns(values).name(Content.key)): \(error)")
    }
  }

  func encode(to container: inout PersistenceContainer) throws {
    let columns = try content.columns
    for (name, value) in columns { container[name] = value }
    container[Self.seal] = RowSeal.digest(table: Content.table, columns).description
  }
}

package enum RowSeal {
  package static func digest(table: String, _ values: [String: DatabaseValue]) -> Digest {
    var builder = DigestBuilder()
    builder.add(table)
    for (name, value) in values.sorted(by: { $0.key < $1.key }) {
      builder.add(name)
      switch value.storage {
      case .null: builder.add(0)
      case .int64(let number):
        builder.add(1)
        builder.add(Int(number))
      case .double(let number):
        builder.add(2)
        builder.add(Int(Int64(bitPattern: number.bitPattern)))
      case .string(let text):
        builder.add(3)
        builder.add(text)
      case .blob(let bytes):
        builder.add(4)
        builder.add(bytes.count)
        builder.add(Array(bytes).span.bytes)
      }
    }
    return builder.digest
  }
}

/// An error for a row that no run can have written.
struct BrokenRow: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// The values of a row, read by column with the type and range each must have.
struct RowColumns {
  private let values: [String: DatabaseValue]
  /// The metrics of the run; nil while they are not known.
  private let metrics: [Metric]?

  init(_ values: [String: DatabaseValue], metrics: [Metric]? = nil) {
    self.values = values
    self.metrics = metrics
  }

  func integer(_ column: String, in range: ClosedRange<Int>) throws(BrokenRow) -> Int {
    guard let number = try optionalInteger(column, in: range) else { throw broken(column, "a whole number") }
    return number
  }

  func optionalInteger(_ column: String, in range: ClosedRange<Int>) throws(BrokenRow) -> Int? {
    switch values[column]?.storage {
    case .null: return nil
    case .int64(let number):
      guard let number = Int(exactly: number), range.contains(number) else {
        throw broken(column, "a whole number from \(range.lowerBound) to \(range.upperBound)")
      }
      return number
    default: throw broken(column, "a whole number")
    }
  }

  func number(_ column: String) throws(BrokenRow) -> Double {
    guard case .double(let number)? = values[column]?.storage, number.isFinite else { throw broken(column, "a finite number") }
    return number
  }

  func text(_ column: String) throws(BrokenRow) -> String {
    guard let text = try optionalText(column) else { throw broken(column, "a text") }
    return text
  }

  func optionalText(_ column: String) throws(BrokenRow) -> String? {
    switch values[column]?.storage {
    case .null: nil
    case .string(let text): text
    default: throw broken(column, "a text")
    }
  }

  func value<Value: DatabaseValueConvertible>(_ column: String, as kind: String) throws(BrokenRow) -> Value {
    guard let value = values[column].flatMap({ Value.fromDatabaseValue($0) }) else { throw broken(column, kind) }
    return value
  }

  func digest(_ column: String) throws(BrokenRow) -> Digest {
    guard let digest = Digest(try text(column)) else { throw broken(column, "a digest") }
    return digest
  }

  func series(_ column: String) throws(BrokenRow) -> Series {
    guard let series = Series(try text(column)) else { throw broken(column, "a series") }
    return series
  }

  func order(_ column: String) throws(BrokenRow) -> CompositionOrder {
    guard let order = try series(column).order else { throw broken(column, "an order") }
    return order
  }

  /// Reads one value for each of the run's metrics, and the training loss if there is one more. While the metrics are not known, any
  /// number of values is accepted.
  func measurements(_ column: String) throws(BrokenRow) -> (Measurements, trainingLoss: Double?) {
    guard let values = Observation.values(try text(column)) else { throw broken(column, "a list of finite numbers") }
    guard let metrics else {
      return (Measurements(values, of: values.indices.map { Metric("value\($0 + 1)") }), nil)
    }
    guard (metrics.count...metrics.count + 1).contains(values.count) else {
      throw broken(column, "a value for each of the run's \(metrics.count) metrics")
    }
    let trainingLoss = values.count > metrics.count ? values[metrics.count] : nil
    guard trainingLoss.map({ abs($0) <= Metric.largestMagnitude }) ?? true else { throw BrokenRow("its training loss is none that iterates have") }
    for (metric, value) in zip(metrics, values) where !metric.range.contains(value) {
      throw BrokenRow("its \(metric.name) is none that iterates have")
    }
    return (Measurements(Array(values.prefix(metrics.count)), of: metrics), trainingLoss)
  }

  /// The key columns with their values, such as ` seed=0 n=20`.
  func name(_ key: [String]) -> String {
    key.compactMap { column in values[column].map { " \(column)=\($0.storage.value.map { "\($0)" } ?? "NULL")" } }.joined()
  }

  private func broken(_ column: String, _ kind: String) -> BrokenRow { BrokenRow("its \(column) is not \(kind)") }
}

extension Row {
  var valuesByName: [String: DatabaseValue] {
    Dictionary(map { ($0.0, $0.1) }) { first, _ in first }
  }
}
