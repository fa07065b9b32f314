// What ports/android calls of Android's org.json, over a small reader of JSON.

package org.json

class JSONException(message: String) : RuntimeException(message)

class JSONObject internal constructor(private val values: Map<String, Any?>) {
    constructor(text: String) : this((Parser(text).value() as JSONObject).values)

    fun get(name: String): Any = values[name] ?: throw JSONException("No value for $name")

    fun has(name: String): Boolean = name in values

    fun isNull(name: String): Boolean = values[name] == null

    fun keys(): MutableIterator<String> = values.keys.toMutableList().iterator()

    fun getJSONObject(name: String): JSONObject = get(name) as JSONObject

    fun getJSONArray(name: String): JSONArray = get(name) as JSONArray

    fun optJSONArray(name: String): JSONArray? = values[name] as? JSONArray

    fun getString(name: String): String = get(name).toString()

    fun getDouble(name: String): Double = (get(name) as Number).toDouble()

    fun getInt(name: String): Int = (get(name) as Number).toInt()

    fun getBoolean(name: String): Boolean = get(name) as Boolean
}

class JSONArray internal constructor(private val values: List<Any?>) {
    fun length(): Int = values.size

    fun get(index: Int): Any = values[index] ?: throw JSONException("Value at $index is null")

    fun getJSONObject(index: Int): JSONObject = get(index) as JSONObject

    fun getJSONArray(index: Int): JSONArray = get(index) as JSONArray

    fun getString(index: Int): String = get(index).toString()

    fun getDouble(index: Int): Double = (get(index) as Number).toDouble()

    fun getInt(index: Int): Int = (get(index) as Number).toInt()
}

/** RFC 8259, of text that is valid; numbers are doubles. */
private class Parser(private val text: String) {
    private var at = 0

    fun value(): Any? = when (peek()) {
        '{' -> JSONObject(LinkedHashMap<String, Any?>().also { all -> each('}') { string().let { peek(); at++; all[it] = value() } } })
        '[' -> JSONArray(ArrayList<Any?>().also { all -> each(']') { all += value() } })
        '"' -> string()
        else -> word()
    }

    private fun peek(): Char {
        while (text[at].isWhitespace()) at++
        return text[at]
    }

    private fun each(end: Char, one: () -> Unit) {
        at++
        while (peek() != end) {
            one()
            if (peek() == ',') at++
        }
        at++
    }

    private fun string(): String {
        peek()
        val start = ++at
        while (text[at] != '"') at += if (text[at] == '\\') 2 else 1
        return text.substring(start, at++)
    }

    private fun word(): Any? {
        val start = at
        while (at < text.length && text[at] !in ",]} \n") at++
        return when (val word = text.substring(start, at)) {
            "true" -> true
            "false" -> false
            "null" -> null
            else -> word.toDouble()
        }
    }
}
