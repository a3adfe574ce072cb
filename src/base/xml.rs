//! Entities of XML.

/// Resolves `&lt;`, `&#10;` and kin; an entity it does not know stays as it stands.
pub(crate) fn push_entity(text: &mut String, entity: &quick_xml::events::BytesRef<'_>) {
    if let Ok(Some(character)) = entity.resolve_char_ref() {
        text.push(character);
    } else if let Some(resolved) = quick_xml::escape::resolve_predefined_entity(entity) {
        text.push_str(resolved);
    } else {
        text.push('&');
        text.push_str(entity);
        text.push(';');
    }
}
