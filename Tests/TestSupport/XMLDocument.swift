import Foundation

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// What a strict XML parser, not ours, reads from a document.
public final class XMLDocument: NSObject, XMLParserDelegate {
  public struct Element {
    public let name: String
    public let attributes: [String: String]
    /// Of it alone, without elements inside it.
    public fileprivate(set) var text = ""
  }

  public struct Malformed: Error, CustomStringConvertible {
    public let description: String
  }

  public private(set) var elements: [Element] = []
  private var open: [Int] = []

  /// - Throws: `Malformed` where the document is not well-formed.
  public init(_ document: String) throws {
    super.init()
    let parser = XMLParser(data: Data(document.utf8))
    parser.delegate = self
    guard parser.parse() else {
      throw Malformed(description: "line \(parser.lineNumber): \(String(describing: parser.parserError))")
    }
  }

  public func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
    attributes: [String: String]
  ) {
    open.append(elements.count)
    elements.append(Element(name: name, attributes: attributes))
  }

  public func parser(_ parser: XMLParser, foundCharacters text: String) {
    if let last = open.last { elements[last].text += text }
  }

  public func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
    open.removeLast()
  }

  public func all(_ name: String) -> [Element] { elements.filter { $0.name == name } }

  /// Every text of an element of that name.
  public func texts(_ name: String) -> [String] { all(name).map(\.text) }
}
