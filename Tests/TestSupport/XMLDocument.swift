import Foundation

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// The content of a document as read by a strict, independent XML parser.
public final class XMLDocument: NSObject, XMLParserDelegate {
  public struct Element {
    public let name: String
    public let attributes: [String: String]
    /// The text of the element itself, without that of elements inside it.
    public fileprivate(set) var text = ""
  }

  public struct Malformed: Error, CustomStringConvertible {
    public let description: String
  }

  public private(set) var elements: [Element] = []
  private var open: [Int] = []

  /// - Throws: `Malformed` if the document is not well-formed.
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

  /// The texts of all elements with that name.
  public func texts(_ name: String) -> [String] { all(name).map(\.text) }
}
